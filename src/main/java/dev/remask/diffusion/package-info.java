/// The denoising loop of masked diffusion: options, plans, constraints, and the engine that answers
/// many requests at once.
///
/// A request's state lives on the device, in a slot: canvas, plan, progress. The host uploads it
/// once, lays the pass whenever its members change, and runs steps: one graph launch for as many as
/// go without the host where the driver has WHILE nodes, else one for each. Answers are copied back
/// at their end; commits are read from memory that the device writes while it runs.
package dev.remask.diffusion;
