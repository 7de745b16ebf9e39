//! Whole lines for systemd's journal, through its own socket.
//!
//! The journal keeps the priority of each entry, and a line break in a text from outside cannot begin another one.
//! `journalctl` shows an entry's message only, so the message holds the fields too.

use std::{
    io::{self, Write},
    os::unix::net::UnixDatagram,
    sync::Arc,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// More of one message is cut off, in bytes: a datagram must fit into the socket's buffer.
const MESSAGE_BYTES_MAX: usize = 48 * 1024;

/// A way to the journal; each writer that it makes is for one event.
#[derive(Debug, Clone)]
pub(super) struct Journal(Arc<UnixDatagram>);

/// Writes one entry per call, with the priority of its event.
#[derive(Debug)]
pub(super) struct Entry<'j> {
    socket: &'j UnixDatagram,
    level: Level,
}

impl Journal {
    /// Connects to this machine's journal.
    pub(super) fn connect() -> io::Result<Self> {
        Self::connect_to(SOCKET)
    }

    fn connect_to(path: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self(Arc::new(socket)))
    }
}

impl<'j> MakeWriter<'j> for Journal {
    type Writer = Entry<'j>;

    fn make_writer(&'j self) -> Self::Writer {
        Entry {
            socket: &self.0,
            level: Level::INFO,
        }
    }

    fn make_writer_for(&'j self, metadata: &Metadata<'_>) -> Self::Writer {
        Entry {
            socket: &self.0,
            level: *metadata.level(),
        }
    }
}

impl Write for Entry<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.socket.send(&datagram(line, self.level))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An entry in the journal's native protocol. The message goes by its length, so that nothing in it is read as a field.
fn datagram(line: &[u8], level: Level) -> Vec<u8> {
    let line = line.trim_ascii_end();
    let message = &line[..line.len().min(MESSAGE_BYTES_MAX)];
    let mut datagram = format!("PRIORITY={}\nSYSLOG_IDENTIFIER=paperround\nMESSAGE\n", priority(level)).into_bytes();
    datagram.extend_from_slice(&(message.len() as u64).to_le_bytes());
    datagram.extend_from_slice(message);
    datagram.push(b'\n');
    datagram
}

/// The priority as syslog counts (RFC 5424 section 6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn an_entry_holds_the_fields_and_no_line_break_begins_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect_to(path.to_str().unwrap()).unwrap();
        let subscriber = tracing_subscriber::registry().with(super::super::journal_layer(journal));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(delivery.outcome = "550 no\nPRIORITY=0", n = 3, "digest not accepted");
        });
        let mut bytes = [0; 4_096];
        let length = listener.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]);
        let (head, message) = text.split_once("MESSAGE\n").unwrap();
        assert_eq!(head, "PRIORITY=4\nSYSLOG_IDENTIFIER=paperround\n");
        // The eight bytes of the length, then the message and the end of the field.
        let message = &message[8..];
        assert!(message.starts_with("digest not accepted "), "{message:?}");
        assert!(
            message.contains("delivery.outcome=\"550 no\\nPRIORITY=0\" n=3"),
            "{message:?}"
        );
        assert_eq!(bytes[head.len() + 8] as usize, message.len() - 1);
    }

    #[test]
    fn a_long_message_is_cut_to_what_a_datagram_holds() {
        let datagram = datagram(&vec![b'x'; 1_000_000], Level::INFO);
        assert!(datagram.len() < MESSAGE_BYTES_MAX + 100);
    }
}
