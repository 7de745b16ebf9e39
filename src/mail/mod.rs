//! One message on its way: from a rendered digest to bytes, and from bytes to the relay's word.

pub mod beside;
pub mod bounce;
pub mod capabilities;
pub mod compose;
pub mod dial;
pub mod dialogue;
pub mod dkim;
pub mod envelope;
pub mod fault;
pub mod login;
pub mod maildir;
pub mod message;
pub mod pace;
pub mod payload;
pub mod relay;
pub mod reply;
pub mod sendmail;
pub mod session;
pub mod tls;
pub mod wire;
