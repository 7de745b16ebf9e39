//! Servers on loopback that play the other side, and the program between them.

pub(crate) mod app;
pub(crate) mod arxiv;
pub(crate) mod interfaces;
pub(crate) mod papers;
pub(crate) mod program;
pub(crate) mod service;
pub(crate) mod simulator;
pub(crate) mod smtp;
pub(crate) mod web;
