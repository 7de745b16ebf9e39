//! What must hold of every input from outside, whatever stands in it. The targets under `fuzz_targets` hand the bytes
//! over that libFuzzer makes; the ordinary tests replay the seeds through the same checks.

#![forbid(unsafe_code)]

pub mod checks;
