/// The denoising loop of masked diffusion: options, schedule, batches, trace.
///
/// A generation's state lives on the device. The host plans the steps of every sequence, uploads
/// plan and prompts once, launches one captured graph per step and downloads the answers.
package dev.remask.diffusion;
