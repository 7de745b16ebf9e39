//! What the program does against servers that behave as real ones do, well and badly.

mod architecture;
mod arxiv_cases;
mod demo;
mod docs;
#[expect(dead_code, reason = "the harness offers more than the present tests take")]
mod harness;
mod identity_cases;
mod mail_checks;
mod smtp;
