//! A message in the form in which it goes over the wire.

use std::borrow::Cow;

use memchr::{memchr_iter, memchr2_iter};

use super::fault::{Fault, SessionError};
use crate::model::Stage;

/// A message as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Payload<'a> {
    stuffed: Cow<'a, [u8]>,
    size: usize,
    is_ascii: bool,
    ends_line: bool,
}

impl<'a> Payload<'a> {
    /// Checks and dot-stuffs the message (RFC 5321, section 4.5.2).
    ///
    /// # Errors
    /// When it holds a CR or LF that is not part of a CRLF. Relays disagree on whether such a character ends a line,
    /// so text after it could become commands of its own (SMTP smuggling); RFC 5321, section 2.3.8, forbids it.
    pub fn new(message: &'a [u8]) -> Result<Self, SessionError> {
        if let Some(at) = bare_line_end(message) {
            return Err(SessionError::new(
                Stage::Body,
                Fault::Message(format!("the message is not sent: it has half a line end at byte {at}")),
            ));
        }
        Ok(Self {
            stuffed: stuff_dots(message),
            size: message.len(),
            is_ascii: message.is_ascii(),
            ends_line: message.is_empty() || message.ends_with(b"\r\n"),
        })
    }

    /// The text as it is written, with its dots doubled.
    pub fn stuffed(&self) -> &[u8] {
        &self.stuffed
    }

    /// How many bytes the message has, as SIZE counts them: line ends included, added dots not (RFC 1870, section 5).
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether it can go without 8BITMIME.
    pub fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// The final dot, after a line end of its own where the message has none.
    pub fn end(&self) -> &'static [u8] {
        if self.ends_line { b".\r\n" } else { b"\r\n.\r\n" }
    }
}

/// Where the first CR or LF stands that is not part of a CRLF.
fn bare_line_end(message: &[u8]) -> Option<usize> {
    memchr2_iter(b'\r', b'\n', message).find(|&at| match message[at] {
        b'\r' => message.get(at + 1) != Some(&b'\n'),
        _ => at == 0 || message[at - 1] != b'\r',
    })
}

/// Doubles the dot that begins a line, so that no line of the message is the final dot.
fn stuff_dots(message: &[u8]) -> Cow<'_, [u8]> {
    let line_begins = [0].into_iter().chain(memchr_iter(b'\n', message).map(|at| at + 1));
    let dots: Vec<usize> = line_begins.filter(|&at| message.get(at) == Some(&b'.')).collect();
    if dots.is_empty() {
        return Cow::Borrowed(message);
    }
    let mut stuffed = Vec::with_capacity(message.len() + dots.len());
    let mut copied = 0;
    for dot in dots {
        stuffed.extend_from_slice(&message[copied..dot]);
        stuffed.push(b'.');
        copied = dot;
    }
    stuffed.extend_from_slice(&message[copied..]);
    Cow::Owned(stuffed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CASES 94.
    #[test]
    fn a_line_of_the_message_is_never_the_final_dot() {
        #[track_caller]
        fn check(message: &str, expected: &str) {
            let payload = Payload::new(message.as_bytes()).unwrap();
            let sent = [payload.stuffed.as_ref(), payload.end()].concat();
            assert_eq!(String::from_utf8(sent).unwrap(), expected);
        }
        check("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n");
        check(".\r\n", "..\r\n.\r\n");
        check("..x\r\n.y", "...x\r\n..y\r\n.\r\n");
        check("a.b\r\n", "a.b\r\n.\r\n");
        check("no line end", "no line end\r\n.\r\n");
        check("", ".\r\n");
    }

    #[test]
    fn half_a_line_end_is_never_sent() {
        #[track_caller]
        fn check(message: &str, expected: Option<usize>) {
            assert_eq!(bare_line_end(message.as_bytes()), expected, "{message:?}");
            assert_eq!(Payload::new(message.as_bytes()).is_err(), expected.is_some());
        }
        check("a\r\nb\r\n", None);
        check("a\n.\nMAIL FROM:<x@example.org>\r\n", Some(1));
        check("a\r.\r", Some(1));
        check("\n", Some(0));
        check("a\r\n\n", Some(3));
        check("a\r\r\n", Some(1));
        check("a\r", Some(1));
        check("", None);
    }
}
