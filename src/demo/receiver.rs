//! An SMTP server on loopback that keeps what it accepts as `.eml` files.
//!
//! It knows the minimum of RFC 5321 (section 4.5.1) and announces PIPELINING, 8BITMIME and SIZE. It answers 250 to a message
//! only when the file is written, as a relay must.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
    time::timeout,
};

/// The longest line that is read, in bytes: more than twice of what RFC 5321 (section 4.5.3.1) allows.
const LINE_BYTES_MAX: u64 = 4_096;
/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The most recipients of one message.
const RECIPIENTS_MAX: usize = 100;
/// A connection on which nothing is said for so long is closed.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest name of a file, in characters.
const FILE_NAME_CHARS_MAX: usize = 100;

/// The running receiver. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
    task: JoinHandle<()>,
}

/// One message that was accepted for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    /// The address of RCPT TO.
    pub recipient: String,
    /// The file that holds the message.
    pub path: PathBuf,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Where accepted messages go.
#[derive(Debug)]
struct Shelf {
    folder: PathBuf,
    received: Vec<Received>,
}

impl Receiver {
    /// Starts on a free port and writes what it accepts into `folder`.
    ///
    /// # Errors
    /// If no port of the loopback interface can be opened.
    pub(super) async fn start(folder: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shelf = Arc::new(Mutex::new(Shelf {
            folder,
            received: Vec::new(),
        }));
        let task = tokio::spawn(accept(listener, Arc::clone(&shelf)));
        Ok(Self { address, shelf, task })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on messages go into another folder.
    pub(super) fn write_into(&self, folder: PathBuf) {
        lock(&self.shelf).folder = folder;
    }

    /// What was accepted since the last call, in the order of arrival.
    pub(super) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut lock(&self.shelf).received)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // A poisoned lock still holds a whole list: a message is added in one step.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shelf: Arc<Mutex<Shelf>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let dialogue = Dialogue::new(stream, Arc::clone(&shelf));
                tokio::spawn(async move {
                    if let Err(error) = dialogue.hold().await {
                        tracing::debug!(%error, "a dialogue with the demonstration's receiver broke off");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the demonstration's receiver cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection.
struct Dialogue {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    shelf: Arc<Mutex<Shelf>>,
    has_sender: bool,
    recipients: Vec<String>,
}

impl Dialogue {
    fn new(stream: TcpStream, shelf: Arc<Mutex<Shelf>>) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
            shelf,
            has_sender: false,
            recipients: Vec::new(),
        }
    }

    async fn hold(mut self) -> io::Result<()> {
        self.reply("220 demo.invalid ready").await?;
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    self.reset();
                    let size = format!("250 SIZE {MESSAGE_BYTES_MAX}");
                    self.reply(&["250-demo.invalid", "250-PIPELINING", "250-8BITMIME", &size].join("\r\n"))
                        .await?;
                }
                "HELO" => {
                    self.reset();
                    self.reply("250 demo.invalid").await?;
                }
                "MAIL" => self.mail(rest).await?,
                "RCPT" => self.recipient(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.reset();
                    self.reply("250 forgotten").await?;
                }
                "NOOP" => self.reply("250 fine").await?,
                "VRFY" => self.reply("252 send it and see").await?,
                "QUIT" => return self.reply("221 goodbye").await,
                _ => self.reply("500 no such command").await?,
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.has_sender = false;
        self.recipients.clear();
    }

    async fn mail(&mut self, rest: &str) -> io::Result<()> {
        if path(rest, "FROM:").is_none() {
            return self.reply("501 MAIL FROM:<address> is expected").await;
        }
        if self.has_sender {
            return self.reply("503 there is a sender already").await;
        }
        self.has_sender = true;
        self.reply("250 sender taken").await
    }

    async fn recipient(&mut self, rest: &str) -> io::Result<()> {
        if !self.has_sender {
            return self.reply("503 MAIL comes first").await;
        }
        match path(rest, "TO:") {
            Some(address) if address.contains('@') => {
                if self.recipients.len() >= RECIPIENTS_MAX {
                    return self.reply("452 too many recipients").await;
                }
                self.recipients.push(address.to_owned());
                self.reply("250 recipient taken").await
            }
            _ => self.reply("501 RCPT TO:<address> is expected").await,
        }
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.recipients.is_empty() {
            return self.reply("503 RCPT comes first").await;
        }
        self.reply("354 end with a dot on a line of its own").await?;
        let Some(message) = self.message().await? else {
            self.reset();
            return self.reply("552 the message is too long").await;
        };
        let recipients = std::mem::take(&mut self.recipients);
        self.reset();
        for recipient in recipients {
            if let Err(error) = self.keep(recipient, &message).await {
                tracing::warn!(%error, "the demonstration's receiver cannot write a message");
                return self.reply("451 it cannot be written here").await;
            }
        }
        self.reply("250 written").await
    }

    /// The message without the dots that were added to lines which begin with one (RFC 5321, section 4.5.2); `None` if
    /// it is too long.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut is_line_begin = true;
        let mut is_too_long = false;
        loop {
            // A longer line comes in pieces, and only at a line's beginning does a dot mean anything.
            let Some(piece) = self.line().await? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            if is_line_begin && piece == b".\r\n" {
                return Ok((!is_too_long).then_some(message));
            }
            let content = if is_line_begin {
                piece.strip_prefix(b".").unwrap_or(&piece)
            } else {
                &piece
            };
            is_line_begin = piece.ends_with(b"\r\n");
            is_too_long |= message.len() + content.len() > MESSAGE_BYTES_MAX;
            if !is_too_long {
                message.extend_from_slice(content);
            }
        }
    }

    async fn keep(&self, recipient: String, message: &[u8]) -> io::Result<()> {
        let path = {
            let shelf = lock(&self.shelf);
            let n_before = shelf
                .received
                .iter()
                .filter(|other| other.recipient == recipient)
                .count();
            shelf.folder.join(file_name(&recipient, n_before))
        };
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        tokio::fs::write(&path, message).await?;
        lock(&self.shelf).received.push(Received {
            recipient,
            path,
            bytes: message.to_vec(),
        });
        Ok(())
    }

    /// The next line with its end, or the first [`LINE_BYTES_MAX`] of a longer one; `None` at the end.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LINE_BYTES_MAX);
        let n_read = timeout(SILENCE_MAX, limited.read_until(b'\n', &mut line)).await??;
        Ok((n_read > 0).then_some(line))
    }

    async fn reply(&mut self, lines: &str) -> io::Result<()> {
        self.writer.write_all(format!("{lines}\r\n").as_bytes()).await
    }
}

/// The address between angle brackets after `FROM:` or `TO:`; parameters behind it are ignored.
fn path<'l>(rest: &'l str, keyword: &str) -> Option<&'l str> {
    let head = rest
        .get(..keyword.len())
        .filter(|head| head.eq_ignore_ascii_case(keyword))?;
    let path = rest[head.len()..].trim_start().strip_prefix('<')?;
    path.split_once('>').map(|(address, _)| address)
}

/// The recipient as a file name, with a number from the second message on.
fn file_name(recipient: &str, n_before: usize) -> PathBuf {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || ".-_@+".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = recipient.chars().map(safe).take(FILE_NAME_CHARS_MAX).collect();
    let name = if name.starts_with('.') {
        format!("_{name}")
    } else {
        name
    };
    Path::new(&match n_before {
        0 => format!("{name}.eml"),
        n => format!("{name}-{}.eml", n + 1),
    })
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says everything at once and returns the reply codes with what was kept.
    async fn check(said: &str, expected: &str) -> Vec<Received> {
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(folder.path().to_owned()).await.unwrap();
        let mut stream = TcpStream::connect(receiver.address()).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        let codes: Vec<&str> = heard
            .lines()
            .filter(|line| !line[3..].starts_with('-'))
            .map(|line| &line[..3])
            .collect();
        assert_eq!(codes.join(" "), expected, "{said}");
        let received = receiver.take();
        for mail in &received {
            assert_eq!(std::fs::read(&mail.path).unwrap(), mail.bytes);
        }
        assert_eq!(receiver.take(), []);
        received
    }

    const ENVELOPE: &str = "EHLO me\r\nMAIL FROM:<a@example.org> SIZE=12 BODY=8BITMIME\r\nRCPT TO:<b@example.org>\r\n";

    #[tokio::test]
    async fn a_message_is_kept_as_it_was_before_its_dots_were_doubled() {
        let said = format!("{ENVELOPE}DATA\r\nSubject: x\r\n\r\n..a\r\n.b\r\n \u{e9}.\r\n.\r\nQUIT\r\n");
        let received = check(&said, "220 250 250 250 354 250 221").await;
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].recipient, "b@example.org");
        assert_eq!(received[0].path.file_name().unwrap(), "b@example.org.eml");
        assert_eq!(
            received[0].bytes,
            "Subject: x\r\n\r\n.a\r\nb\r\n \u{e9}.\r\n".as_bytes()
        );
    }

    #[tokio::test]
    async fn a_dot_ends_a_message_only_between_two_whole_line_ends() {
        let long = "x".repeat(usize::try_from(LINE_BYTES_MAX).unwrap());
        let said = format!("{ENVELOPE}DATA\r\na\n.\r\n{long}.\r\n.\n\r\n.\r\nQUIT\r\n");
        let received = check(&said, "220 250 250 250 354 250 221").await;
        assert_eq!(received[0].bytes, format!("a\n.\r\n{long}.\r\n\n\r\n").as_bytes());
    }

    #[tokio::test]
    async fn two_messages_on_one_connection_do_not_overwrite_each_other() {
        let message = "MAIL FROM:<>\r\nRCPT TO:<../b@example.org>\r\nDATA\r\n\r\nhello\r\n.\r\n";
        let received = check(
            &format!("HELO me\r\n{message}{message}QUIT\r\n"),
            "220 250 250 250 354 250 250 250 354 250 221",
        )
        .await;
        let names: Vec<String> = received
            .iter()
            .map(|mail| mail.path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["_.._b@example.org.eml", "_.._b@example.org-2.eml"]);
    }

    #[tokio::test]
    async fn what_comes_out_of_order_is_refused() {
        check(
            "RCPT TO:<a@example.org>\r\nDATA\r\nHELP\r\nNOOP\r\nQUIT\r\n",
            "220 503 503 500 250 221",
        )
        .await;
        check(
            "MAIL TO:<a@example.org>\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:x\r\nDATA\r\n",
            "220 501 250 501 503",
        )
        .await;
        check(
            "MAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nRSET\r\nRCPT TO:<a@b>\r\n",
            "220 250 503 250 503",
        )
        .await;
        // A message that never ends is not kept.
        let received = check(&format!("{ENVELOPE}DATA\r\nhello\r\n"), "220 250 250 250 354").await;
        assert_eq!(received, []);
    }
}
