//! What the program does against servers that behave as real ones do, well and badly.

mod harness;
mod harvest;
mod smtp;
