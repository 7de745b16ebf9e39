//! What the program does against servers that behave as real ones do, well and badly.

mod architecture;
mod arxiv_cases;
mod demo;
mod docs;
mod harness;
mod identity_cases;
mod smtp;
