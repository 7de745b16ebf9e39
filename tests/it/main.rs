//! What the program does against servers that behave as real ones do, well and badly.

mod demo;
mod harness;
mod smtp;
mod volume_cases;
