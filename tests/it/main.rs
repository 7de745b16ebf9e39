//! What the program does against servers that behave as real ones do, well and badly.

mod architecture;
mod arxiv_cases;
mod calendar_cases;
mod config_cases;
mod crash_cases;
mod daemon_cases;
mod delivery_cases;
mod demo;
mod docs;
mod formulas;
mod fuzz;
mod harness;
mod harvest;
mod identity_cases;
mod mail_checks;
mod many_workers;
mod recorded_cases;
mod recovery_cases;
mod report_cases;
mod smtp;
mod version_cases;
mod volume_cases;
mod web_cases;
mod welcome;
