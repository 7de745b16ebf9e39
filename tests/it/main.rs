//! What the program does against servers that behave as real ones do, well and badly.

mod architecture;
mod harness;
mod smtp;
