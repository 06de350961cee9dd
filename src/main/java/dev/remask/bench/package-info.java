/// Measures a model as its users run it: the machinery of `remask bench`. No part of the API.
package dev.remask.bench;
