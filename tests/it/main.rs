//! What the program does against servers that behave as real ones do, well and badly.

mod architecture;
mod demo;
mod docs;
mod harness;
mod smtp;
mod volume_cases;
