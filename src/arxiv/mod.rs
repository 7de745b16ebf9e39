//! arXiv's interfaces as pure functions: queries out, papers in, and the proof that an answer is complete.

pub mod atom;
pub mod calendar;
pub mod completeness;
pub mod oai;
pub mod rss;
pub mod search;
