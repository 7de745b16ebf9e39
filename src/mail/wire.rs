//! Bytes to and from the relay, with an end to every wait: replies of bounded size, each step within its limit.
//!
//! lettre's own connection is not used here, for what it cannot do: it tells neither the stage of a failure nor
//! the EHLO lines, reads a reply line of any length, stops at a reply that is not UTF-8, keeps what came in the clear
//! before STARTTLS, and its timeout ends with the connect. The commands and the grammar of replies are lettre's.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::fault::Fault;
use super::reply::Reply;

/// The longest reply line, in bytes. RFC 5321, section 4.5.3.1.5, allows 512; relays with long texts exceed it.
const REPLY_LINE_BYTES_MAX: usize = 4096;
/// The longest reply with all its lines, in bytes.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// How much of a message is written at once, in bytes: one block for [`Limits::block`].
const BLOCK_BYTES: usize = 16 * 1024;
/// How long a refusal is waited for after the relay has stopped taking the message.
const AFTERWORD_LIMIT: Duration = Duration::from_secs(2);

/// Shorter secrets are not looked for in replies, in bytes: hiding "a" would garble every reply and hide nothing.
const HIDDEN_BYTES_MIN: usize = 4;

/// How long each step may take. RFC 5321, section 4.5.3.2, wants one limit per step, not one for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Name resolution and TCP, over all addresses of the relay.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// Until the greeting.
    pub greeting: Duration,
    /// The reply to EHLO and to STARTTLS.
    pub hello: Duration,
    /// Each reply of the login.
    pub auth: Duration,
    /// The reply to MAIL and to RSET.
    pub mail: Duration,
    /// The reply to RCPT.
    pub recipient: Duration,
    /// The reply to DATA.
    pub data: Duration,
    /// Writing one block of the message.
    pub block: Duration,
    /// Writing the whole message.
    pub body: Duration,
    /// The reply to the final dot. A short limit here makes duplicates.
    pub final_reply: Duration,
    /// QUIT and closing.
    pub quit: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const fn minutes(n: u64) -> Duration {
            Duration::from_secs(n * 60)
        }
        Self {
            connect: Duration::from_secs(30),
            tls: minutes(1),
            greeting: minutes(5),
            hello: minutes(5),
            auth: minutes(5),
            mail: minutes(5),
            recipient: minutes(5),
            data: minutes(2),
            block: minutes(3),
            body: minutes(15),
            final_reply: minutes(10),
            quit: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// The default limits, none longer than `max`: for tests and for a person who waits.
    pub fn capped(max: Duration) -> Self {
        let full = Self::default();
        Self {
            connect: full.connect.min(max),
            tls: full.tls.min(max),
            greeting: full.greeting.min(max),
            hello: full.hello.min(max),
            auth: full.auth.min(max),
            mail: full.mail.min(max),
            recipient: full.recipient.min(max),
            data: full.data.min(max),
            block: full.block.min(max),
            body: full.body.min(max),
            final_reply: full.final_reply.min(max),
            quit: full.quit.min(max),
        }
    }
}

/// What a dialogue can run over.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

/// A connection with what was read from it and not yet used.
pub struct Wire {
    stream: Box<dyn Duplex>,
    unread: Vec<u8>,
    hidden: Vec<SecretString>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("unread", &self.unread.len())
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// Speaks over `stream`.
    pub fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Hides `secret` in everything that the relay says from now on: some repeat what they refuse.
    pub fn hide(&mut self, secret: &str) {
        if secret.len() >= HIDDEN_BYTES_MIN {
            self.hidden.push(SecretString::from(secret.to_owned()));
        }
    }

    /// The stream for a TLS handshake.
    ///
    /// # Errors
    /// When the relay has said more than its reply to STARTTLS: that came in the clear and would be taken for
    /// something it said under TLS (RFC 3207, section 6; CVE-2021-38371 and its like).
    pub fn into_stream(self) -> Result<Box<dyn Duplex>, Fault> {
        if self.unread.is_empty() {
            Ok(self.stream)
        } else {
            Err(Fault::Protocol(
                "the relay sent data in the clear after its reply to STARTTLS".to_owned(),
            ))
        }
    }

    /// Writes one command line, or several at once under PIPELINING, within `limit`.
    ///
    /// # Errors
    /// When the relay has spoken out of turn, does not take the line in time, or is gone.
    pub async fn write(&mut self, lines: &[u8], limit: Duration) -> Result<(), Fault> {
        if !self.unread.is_empty() {
            return Err(self.out_of_turn());
        }
        timed(limit, async {
            self.stream.write_all(lines).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Reads one reply, whatever it says, within `limit`.
    ///
    /// # Errors
    /// When it does not come in time, is too long or is not a reply, or the relay is gone.
    pub async fn read(&mut self, limit: Duration) -> Result<Response, Fault> {
        timeout(limit, self.read_reply())
            .await
            .unwrap_or(Err(Fault::TimedOut(limit)))
    }

    /// Writes the dot-stuffed message block by block, without the final dot.
    ///
    /// # Errors
    /// As [`Wire::write`]; a refusal if the relay gives one before the message is complete.
    pub async fn write_body(&mut self, stuffed: &[u8], limits: &Limits) -> Result<(), Fault> {
        let blocks = async {
            for block in stuffed.chunks(BLOCK_BYTES) {
                self.write(block, limits.block).await?;
            }
            Ok(())
        };
        let written = timeout(limits.body, blocks)
            .await
            .unwrap_or(Err(Fault::TimedOut(limits.body)));
        match written {
            // A relay that refuses half-way says so and closes: its word is worth more than the broken pipe.
            Err(Fault::Broken(source)) => match self.read(AFTERWORD_LIMIT).await {
                Ok(response) if !response.is_positive() => Err(Fault::Refused(Reply::new(&response))),
                Ok(_) | Err(_) => Err(Fault::Broken(source)),
            },
            Err(fault) => Err(fault),
            Ok(()) => self.expect_silence().await,
        }
    }

    /// Ends the connection in good form.
    ///
    /// # Errors
    /// When the relay is gone already.
    pub async fn shut_down(&mut self, limit: Duration) -> Result<(), Fault> {
        timed(limit, self.stream.shutdown()).await
    }

    /// Before the final dot: a relay that has spoken already cannot be answering the dot.
    async fn expect_silence(&mut self) -> Result<(), Fault> {
        if self.unread.is_empty() {
            match timeout(Duration::ZERO, self.fill()).await {
                Err(_nothing_there) => return Ok(()),
                Ok(Err(fault)) => return Err(fault),
                Ok(Ok(())) => {}
            }
        }
        match self.read(AFTERWORD_LIMIT).await? {
            response if !response.is_positive() => Err(Fault::Refused(Reply::new(&response))),
            response => Err(Fault::Protocol(format!(
                "the relay answered before the message was complete: {}",
                Reply::new(&response)
            ))),
        }
    }

    /// What a relay that speaks unasked most often means: 421, "I have been idle too long".
    fn out_of_turn(&mut self) -> Fault {
        match self.take_reply() {
            Ok(Some(response)) if u16::from(response.code()) == 421 => Fault::Refused(Reply::new(&response)),
            Ok(Some(response)) => Fault::Protocol(format!("the relay spoke out of turn: {}", Reply::new(&response))),
            Ok(None) => Fault::Protocol("the relay spoke out of turn".to_owned()),
            Err(fault) => fault,
        }
    }

    async fn read_reply(&mut self) -> Result<Response, Fault> {
        loop {
            if let Some(response) = self.take_reply()? {
                return Ok(response);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk).await {
            Ok(0) => Err(Fault::Closed),
            Ok(n) => {
                self.unread.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            // TLS calls an end without close_notify unexpected; for mail it is just the end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::Closed),
            Err(error) => Err(Fault::Broken(error)),
        }
    }

    /// Takes the first complete reply out of what was read.
    fn take_reply(&mut self) -> Result<Option<Response>, Fault> {
        let mut end = 0;
        while let Some(length) = self.unread[end..].iter().position(|&byte| byte == b'\n') {
            let line = &self.unread[end..end + length];
            if length > REPLY_LINE_BYTES_MAX {
                break;
            }
            end += length + 1;
            if end > REPLY_BYTES_MAX {
                break;
            }
            if !is_continued(line) {
                let response = parse_reply(&self.unread[..end], &self.hidden);
                self.unread.drain(..end);
                return response.map(Some);
            }
        }
        let unfinished = self.unread.len().saturating_sub(end);
        if unfinished > REPLY_LINE_BYTES_MAX || self.unread.len() > REPLY_BYTES_MAX {
            self.unread = Vec::new();
            return Err(Fault::Protocol("the relay's reply does not end".to_owned()));
        }
        Ok(None)
    }
}

/// `250-` begins a line that is not the last.
fn is_continued(line: &[u8]) -> bool {
    line.get(3) == Some(&b'-') && line[..3].iter().all(u8::is_ascii_digit)
}

/// Hands the lines to lettre's grammar in the form it knows: CRLF, a space after the last code, UTF-8.
fn parse_reply(bytes: &[u8], hidden: &[SecretString]) -> Result<Response, Fault> {
    let mut text = String::with_capacity(bytes.len() + 2);
    for line in String::from_utf8_lossy(bytes).lines() {
        match line.split_at_checked(4) {
            Some((code, said)) => {
                text.push_str(code);
                text.push_str(&hide_all(said, hidden));
            }
            None => text.push_str(line),
        }
        // RFC 5321, section 4.2: the text, and the space before it, may be missing.
        if line.len() == 3 {
            text.push(' ');
        }
        text.push_str("\r\n");
    }
    text.parse().map_err(|_| {
        // Without a code in front nothing tells where a repeated secret may begin.
        let said = String::from_utf8_lossy(bytes);
        let said = super::reply::clean(&hide_all(&said, hidden));
        Fault::Protocol(format!("this is no SMTP reply: {said}"))
    })
}

fn hide_all<'a>(text: &'a str, hidden: &[SecretString]) -> Cow<'a, str> {
    let mut shown = Cow::Borrowed(text);
    for secret in hidden {
        if shown.contains(secret.expose_secret()) {
            shown = Cow::Owned(shown.replace(secret.expose_secret(), "[hidden]"));
        }
    }
    shown
}

async fn timed(limit: Duration, step: impl Future<Output = io::Result<()>>) -> Result<(), Fault> {
    match timeout(limit, step).await {
        Ok(done) => done.map_err(Fault::Broken),
        Err(_elapsed) => Err(Fault::TimedOut(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> Vec<Result<String, String>> {
        let mut wire = Wire::new(Box::new(tokio::io::join(
            io::Cursor::new(bytes.to_vec()),
            tokio::io::sink(),
        )));
        let mut said = Vec::new();
        loop {
            match wire.read(Duration::from_secs(5)).await {
                Ok(response) => said.push(Ok(Reply::new(&response).to_string())),
                Err(Fault::Closed) => return said,
                Err(fault) => {
                    said.push(Err(fault.to_string()));
                    return said;
                }
            }
        }
    }

    #[tokio::test]
    async fn replies_are_read_as_relays_write_them() {
        async fn check(bytes: &[u8], expected: &[&str]) {
            let said: Vec<String> = read_all(bytes).await.into_iter().map(Result::unwrap).collect();
            assert_eq!(said, expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        check(b"220 ready\r\n250 ok\r\n", &["220 ready", "250 ok"]).await;
        check(b"250-a\r\n250-SIZE 10\r\n250 b\r\n", &["250 a SIZE 10 b"]).await;
        check(b"250\r\n", &["250"]).await;
        check(b"250 bare line end\n", &["250 bare line end"]).await;
        check(b"550 caf\xe9\r\n", &["550 caf\u{fffd}"]).await;
        check(b"250 unfinished", &[]).await;
    }

    #[tokio::test]
    async fn what_is_no_reply_ends_the_session() {
        async fn check(bytes: &[u8], expected: &str) {
            let said = read_all(bytes).await.pop().unwrap().unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        check(b"HTTP/1.1 400 Bad Request\r\n", "no SMTP reply: HTTP/1.1 400").await;
        check(b"250-a\r\n550 b\r\n", "no SMTP reply").await;
        check(b"999 x\r\n", "no SMTP reply").await;
        check(b"\r\n", "no SMTP reply").await;
        check(&b"x".repeat(5000), "does not end").await;
        check(
            &[b"250 ".as_slice(), &b"x".repeat(5000), b"\r\n"].concat(),
            "does not end",
        )
        .await;
        check(&b"250-more\r\n".repeat(10_000), "does not end").await;
    }

    #[tokio::test]
    async fn what_came_in_the_clear_is_not_taken_for_encrypted() {
        let bytes = b"220 go\r\n250 injected\r\n".to_vec();
        let mut wire = Wire::new(Box::new(tokio::io::join(io::Cursor::new(bytes), tokio::io::sink())));
        wire.read(Duration::from_secs(5)).await.unwrap();
        assert!(matches!(wire.into_stream(), Err(Fault::Protocol(_))));
    }

    #[tokio::test]
    async fn a_repeated_secret_is_hidden() {
        let bytes = b"535 5.7.8 bad password hunter2, really hunter2\r\nhello hunter2\r\n".to_vec();
        let mut wire = Wire::new(Box::new(tokio::io::join(io::Cursor::new(bytes), tokio::io::sink())));
        wire.hide("hunter2");
        wire.hide("5");
        let response = wire.read(Duration::from_secs(5)).await.unwrap();
        assert_eq!(
            Reply::new(&response).to_string(),
            "535 5.7.8 bad password [hidden], really [hidden]"
        );
        let fault = wire.read(Duration::from_secs(5)).await.unwrap_err();
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
        assert!(!format!("{wire:?} {fault:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_secret_that_is_echoed_without_a_code_is_hidden() {
        let bytes = b"hunter2\r\n".to_vec();
        let mut wire = Wire::new(Box::new(tokio::io::join(io::Cursor::new(bytes), tokio::io::sink())));
        wire.hide("hunter2");
        let fault = wire.read(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(fault.to_string(), "this is no SMTP reply: [hidden]");
    }

    #[test]
    fn capped_limits_are_never_longer() {
        let second = Duration::from_secs(1);
        let capped = Limits::capped(second);
        assert_eq!(
            (capped.final_reply, capped.connect, capped.quit),
            (second, second, second)
        );
        assert_eq!(Limits::capped(Duration::MAX), Limits::default());
    }
}
