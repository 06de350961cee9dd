/// One typed launcher per operation, over the CUDA kernels of `kernels/`.
///
/// [dev.remask.kernel.Operations] loads them all on a context. A launcher checks its buffers
/// against the shape, enqueues on the given stream and returns; it allocates nothing per launch and
/// belongs to the context's device thread. Row-major everywhere; the letters of shapes: T tokens, D
/// width, E logits of a row, R selectable rows; X is the operations' dtype. Which kernel runs an
/// operation on which device is decided here and nowhere above.
package dev.remask.kernel;
