//! Servers on loopback that play the other side.

pub(crate) mod smtp;
