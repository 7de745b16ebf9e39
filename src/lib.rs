//! Paperround reads arXiv every day and mails each subscriber one digest of the new papers on their keywords.
//!
//! The modules in reading order, which is also the order in which they may use each other: a module
//! uses only modules of a lower level, never its own level or a higher one (a test reads the imports).
//!
//! | level | modules |
//! |---|---|
//! | 0 | [`model`] values, [`clock`] |
//! | 1 | [`tex`], [`token`], [`schedule`] |
//! | 2 | [`matching`] |
//! | 3 | [`arxiv`] bytes to papers, [`digest`] what goes into one |
//! | 4 | [`render`] |
//! | 5 | [`mail`] one message on its way, [`store`] what is remembered |

pub mod clock;
pub mod model;

pub mod schedule;
pub mod tex;
pub mod token;

pub mod matching;

pub mod arxiv;
pub mod digest;

pub mod render;

pub mod mail;
pub mod store;

pub mod config;
