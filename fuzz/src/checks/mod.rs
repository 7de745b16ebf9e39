//! One check for each kind of input from outside: it takes any bytes and panics where a promise about them is broken.

mod bounce;
mod config;
mod feeds;
mod query;
#[cfg(fuzzing)]
mod record;
mod reply;
mod tex;
mod token;

pub use bounce::bounce;
pub use config::config;
pub use feeds::{atom, oai, rss};
pub use query::query;
#[cfg(fuzzing)]
pub use record::record;
pub use reply::reply;
pub use tex::tex;
pub use token::token;

/// A line for logs, mails and terminals: bounded, and nothing in it that moves a cursor or ends a header.
#[track_caller]
fn is_line(text: &str, bytes_max: usize) {
    assert!(text.len() <= bytes_max, "{} bytes of at most {bytes_max}", text.len());
    assert!(!text.contains(char::is_control), "control characters in {text:?}");
}
