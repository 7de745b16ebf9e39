//! One message on its way: from a rendered digest to bytes, and from bytes to the relay's word.

pub mod bounce;
pub mod dkim;
pub mod maildir;
pub mod message;
pub mod relay;
pub mod sendmail;
pub mod session;
