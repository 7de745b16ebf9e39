//! A scripted SMTP relay on loopback: it keeps what it accepts, and fails where and how the script says.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The longest line that the server reads, in bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Where in the dialogue something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before the 220.
    Greeting,
    /// In place of the reply to EHLO.
    Ehlo,
    /// In place of the reply to STARTTLS.
    Starttls,
    /// In place of the TLS handshake.
    Handshake,
    /// In place of the reply to AUTH.
    Auth,
    /// In place of the reply to MAIL.
    Mail,
    /// In place of the reply to RCPT.
    Rcpt,
    /// In place of the 354.
    Data,
    /// While the message is being read.
    Body,
    /// In place of the reply to the final dot.
    Dot,
}

/// What happens there.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes, as they are, in place of the reply; the dialogue goes on.
    Say(Vec<u8>),
    /// These bytes, one at a time, with this pause between them.
    Trickle(Vec<u8>, Duration),
    /// These bytes again and again until the client leaves.
    Flood(Vec<u8>),
    /// These bytes, then the connection is closed.
    SayAndClose(Vec<u8>),
    /// The connection is closed without a word.
    Close,
    /// Nothing more is said, and the connection stays open.
    Hang,
    /// At the final dot: the message is kept, then the connection is closed without a reply.
    KeepAndClose,
    /// At the final dot: the message is kept and nothing more is said.
    KeepAndHang,
}

/// A reply line.
pub(crate) fn say(line: &str) -> Act {
    Act::Say(format!("{line}\r\n").into_bytes())
}

#[derive(Debug, Clone)]
struct Fault {
    at: At,
    recipient: Option<String>,
    times: usize,
    act: Act,
}

/// When the server speaks TLS.
#[derive(Clone, Default)]
pub(crate) enum Encryption {
    /// Never.
    #[default]
    None,
    /// After STARTTLS, which EHLO then offers.
    Starttls(Identity),
    /// From the first byte.
    Implicit(Identity),
}

/// How the server behaves.
#[derive(Clone, Default)]
pub(crate) struct Script {
    extensions: Vec<String>,
    encryption: Encryption,
    account: Option<(String, String)>,
    faults: Vec<Fault>,
    messages_per_connection: Option<(usize, Act)>,
    wants_rset: bool,
}

impl Script {
    /// What EHLO offers, besides STARTTLS.
    pub(crate) fn extensions(mut self, lines: &[&str]) -> Self {
        self.extensions = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    pub(crate) fn encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// The login that AUTH takes, and that MAIL then requires.
    pub(crate) fn account(mut self, username: &str, password: &str) -> Self {
        self.account = Some((username.to_owned(), password.to_owned()));
        self
    }

    /// `act` happens whenever the dialogue comes to `at`.
    pub(crate) fn fault(self, at: At, act: Act) -> Self {
        self.fault_times(at, usize::MAX, act)
    }

    /// `act` happens the first `times` that the dialogue comes to `at`.
    pub(crate) fn fault_times(mut self, at: At, times: usize, act: Act) -> Self {
        self.faults.push(Fault {
            at,
            recipient: None,
            times,
            act,
        });
        self
    }

    /// `act` happens at `at` for this recipient only.
    pub(crate) fn fault_for(mut self, at: At, recipient: &str, act: Act) -> Self {
        let recipient = Some(recipient.to_owned());
        self.faults.push(Fault {
            at,
            recipient,
            times: usize::MAX,
            act,
        });
        self
    }

    /// After `n` messages on one connection, `act` happens in place of the reply to the next MAIL.
    pub(crate) fn messages_per_connection(mut self, n: usize, act: Act) -> Self {
        self.messages_per_connection = Some((n, act));
        self
    }

    /// A MAIL after an unfinished transaction is answered 503 unless RSET came first.
    pub(crate) fn wants_rset(mut self) -> Self {
        self.wants_rset = true;
        self
    }
}

/// A message that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) session: usize,
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Record {
    n_sessions: usize,
    /// Session, whether it was encrypted, and the line.
    commands: Vec<(usize, bool, String)>,
    accepted: Vec<Accepted>,
}

/// A running server; it ends when dropped.
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    record: Arc<Mutex<Record>>,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SmtpServer {
    /// Listens on 127.0.0.1 at a free port.
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let record = Arc::new(Mutex::new(Record::default()));
        let kept = Arc::clone(&record);
        let script = Arc::new(Mutex::new(script));
        let played = Arc::clone(&script);
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let session = {
                    let mut record = lock(&kept);
                    record.n_sessions += 1;
                    record.n_sessions
                };
                let peer = Peer {
                    session,
                    record: Arc::clone(&kept),
                    script: Arc::clone(&played),
                    is_encrypted: false,
                };
                // A client that leaves half-way is part of the tests.
                sessions.spawn(async move { peer.serve(stream).await.ok() });
            }
        });
        Self {
            port,
            record,
            script,
            task,
        }
    }

    /// The messages it took, in order.
    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        lock(&self.record).accepted.clone()
    }

    /// From now on the server behaves so.
    pub(crate) fn behaves(&self, script: Script) {
        *lock(&self.script) = script;
    }

    /// How many connections it had.
    pub(crate) fn n_sessions(&self) -> usize {
        lock(&self.record).n_sessions
    }

    /// The command lines that begin with `verb`.
    pub(crate) fn commands(&self, verb: &str) -> Vec<String> {
        let record = lock(&self.record);
        let lines = record.commands.iter().map(|(_, _, line)| line);
        lines
            .filter(|line| line.to_ascii_uppercase().starts_with(verb))
            .cloned()
            .collect()
    }

    /// Everything that came without encryption.
    pub(crate) fn said_in_the_clear(&self) -> Vec<String> {
        let record = lock(&self.record);
        record
            .commands
            .iter()
            .filter(|(_, encrypted, _)| !encrypted)
            .map(|(_, _, line)| line.clone())
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}
type Stream = BufReader<Box<dyn Duplex>>;

/// Whether the dialogue goes on in the ordinary way after a fault was looked for.
enum After {
    Ordinary,
    Replied,
}

struct Peer {
    session: usize,
    record: Arc<Mutex<Record>>,
    script: Arc<Mutex<Script>>,
    is_encrypted: bool,
}

impl Peer {
    async fn serve(mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let encryption = lock(&self.script).encryption.clone();
        let mut stream: Stream = BufReader::new(Box::new(stream));
        if let Encryption::Implicit(identity) = &encryption {
            stream = self.handshake(stream, identity).await?;
        }
        if let After::Ordinary = self.play(At::Greeting, "", &mut stream).await? {
            reply(&mut stream, "220 relay.example.org ESMTP").await?;
        }
        let mut n_accepted = 0;
        let mut is_logged_in = false;
        let mut is_open = false;
        let (mut sender, mut recipient) = (String::new(), String::new());
        loop {
            let line = self.read_line(&mut stream).await?;
            lock(&self.record)
                .commands
                .push((self.session, self.is_encrypted, line.clone()));
            let verb = line
                .split_ascii_whitespace()
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    if let After::Ordinary = self.play(At::Ehlo, "", &mut stream).await? {
                        let mut lines = vec!["relay.example.org".to_owned()];
                        lines.extend(lock(&self.script).extensions.clone());
                        if matches!(encryption, Encryption::Starttls(_)) && !self.is_encrypted {
                            lines.push("STARTTLS".to_owned());
                        }
                        let last = lines.pop().unwrap_or_default();
                        let mut text: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
                        text.push_str(&format!("250 {last}"));
                        reply(&mut stream, &text).await?;
                    }
                }
                "STARTTLS" => {
                    if let After::Ordinary = self.play(At::Starttls, "", &mut stream).await?
                        && let Encryption::Starttls(identity) = &encryption
                    {
                        reply(&mut stream, "220 go ahead").await?;
                        stream = self.handshake(stream, identity).await?;
                    }
                }
                "AUTH" => {
                    if let After::Ordinary = self.play(At::Auth, "", &mut stream).await? {
                        is_logged_in = self.check_login(&line, &mut stream).await?;
                        let said = if is_logged_in {
                            "235 2.7.0 welcome"
                        } else {
                            "535 5.7.8 not accepted"
                        };
                        reply(&mut stream, said).await?;
                    }
                }
                "RSET" => {
                    is_open = false;
                    reply(&mut stream, "250 2.0.0 forgotten").await?;
                }
                "MAIL" => {
                    let (wants_login, wants_rset, worn) = {
                        let script = lock(&self.script);
                        let worn = script.messages_per_connection.clone().filter(|(n, _)| n_accepted >= *n);
                        (script.account.is_some(), script.wants_rset, worn)
                    };
                    if let Some((_, act)) = worn {
                        self.perform(act, &mut stream).await?;
                    } else if wants_login && !is_logged_in {
                        reply(&mut stream, "530 5.7.0 Authentication required").await?;
                    } else if is_open && wants_rset {
                        reply(&mut stream, "503 5.5.1 transaction in progress").await?;
                    } else if let After::Ordinary = self.play(At::Mail, "", &mut stream).await? {
                        sender = address(&line);
                        is_open = true;
                        reply(&mut stream, "250 2.1.0 ok").await?;
                    }
                }
                "RCPT" => {
                    recipient = address(&line);
                    if !is_open {
                        reply(&mut stream, "503 5.5.1 MAIL first").await?;
                    } else if let After::Ordinary = self.play(At::Rcpt, &recipient, &mut stream).await? {
                        reply(&mut stream, "250 2.1.5 ok").await?;
                    }
                }
                "DATA" => {
                    if let After::Replied = self.play(At::Data, &recipient, &mut stream).await? {
                        continue;
                    }
                    reply(&mut stream, "354 go on").await?;
                    if let After::Replied = self.play(At::Body, &recipient, &mut stream).await? {
                        continue;
                    }
                    let bytes = self.read_message(&mut stream).await?;
                    let message = Accepted {
                        session: self.session,
                        sender: sender.clone(),
                        recipient: recipient.clone(),
                        bytes,
                    };
                    match self.take_fault(At::Dot, &recipient) {
                        None => {
                            self.keep(message);
                            reply(&mut stream, &format!("250 2.0.0 queued as {}", n_accepted + 1)).await?;
                        }
                        Some(act) => {
                            let is_kept = match &act {
                                Act::KeepAndClose | Act::KeepAndHang => true,
                                Act::SayAndClose(bytes) => bytes.starts_with(b"250"),
                                _ => false,
                            };
                            if is_kept {
                                self.keep(message);
                            }
                            self.perform(act, &mut stream).await?;
                        }
                    }
                    n_accepted += 1;
                    is_open = false;
                }
                "QUIT" => {
                    reply(&mut stream, "221 2.0.0 bye").await?;
                    return stream.shutdown().await;
                }
                _ => reply(&mut stream, "502 5.5.2 unknown").await?,
            }
        }
    }

    fn keep(&self, message: Accepted) {
        lock(&self.record).accepted.push(message);
    }

    fn take_fault(&self, at: At, recipient: &str) -> Option<Act> {
        let mut script = lock(&self.script);
        let fault = script.faults.iter_mut().find(|fault| {
            fault.at == at && fault.times > 0 && fault.recipient.as_deref().is_none_or(|name| name == recipient)
        })?;
        fault.times -= 1;
        Some(fault.act.clone())
    }

    async fn play(&self, at: At, recipient: &str, stream: &mut Stream) -> io::Result<After> {
        match self.take_fault(at, recipient) {
            None => Ok(After::Ordinary),
            Some(act) => {
                self.perform(act, stream).await?;
                Ok(After::Replied)
            }
        }
    }

    /// Does it; an error ends the session.
    async fn perform(&self, act: Act, stream: &mut Stream) -> io::Result<()> {
        let leave = || Err(io::ErrorKind::ConnectionAborted.into());
        match act {
            Act::Say(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await
            }
            Act::Trickle(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
                Ok(())
            }
            Act::Flood(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
            Act::SayAndClose(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                stream.shutdown().await?;
                leave()
            }
            Act::Close | Act::KeepAndClose => leave(),
            Act::Hang | Act::KeepAndHang => std::future::pending().await,
        }
    }

    async fn handshake(&mut self, stream: Stream, identity: &Identity) -> io::Result<Stream> {
        let mut stream = stream;
        self.play(At::Handshake, "", &mut stream).await?;
        let encrypted = identity.acceptor.accept(stream.into_inner()).await?;
        self.is_encrypted = true;
        Ok(BufReader::new(Box::new(encrypted)))
    }

    async fn check_login(&self, line: &str, stream: &mut Stream) -> io::Result<bool> {
        let Some((username, password)) = lock(&self.script).account.clone() else {
            return Ok(true);
        };
        let mut words = line.split_ascii_whitespace().skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let first = words.next().unwrap_or_default().to_owned();
        match mechanism.as_str() {
            "PLAIN" => Ok(decode(&first) == format!("\0{username}\0{password}")),
            "LOGIN" => {
                // Asked in words of its own, as some relays do.
                reply(stream, &format!("334 {}", BASE64.encode("Benutzer?"))).await?;
                let name = decode(&self.read_line(stream).await?);
                reply(stream, "334 ").await?;
                let secret = decode(&self.read_line(stream).await?);
                Ok(name == username && secret == password)
            }
            "XOAUTH2" => {
                let is_right = decode(&first) == format!("user={username}\x01auth=Bearer {password}\x01\x01");
                if !is_right {
                    reply(stream, &format!("334 {}", BASE64.encode(r#"{"status":"400"}"#))).await?;
                    let line = self.read_line(stream).await?;
                    assert_eq!(
                        line, "",
                        "the challenge of a refused token is answered by an empty line"
                    );
                }
                Ok(is_right)
            }
            _ => Ok(false),
        }
    }

    async fn read_line(&self, stream: &mut Stream) -> io::Result<String> {
        let mut line = Vec::new();
        if stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&line);
        Ok(text.strip_suffix("\r\n").unwrap_or(&text).to_owned())
    }

    /// The message without the dots that were added on the way.
    async fn read_message(&self, stream: &mut Stream) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let mut line = Vec::new();
            if stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == b".\r\n" {
                return Ok(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

async fn reply(stream: &mut Stream, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

fn decode(text: &str) -> String {
    String::from_utf8_lossy(&BASE64.decode(text).unwrap_or_default()).into_owned()
}

/// An authority made for one test, with its certificate in a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are no wrong names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are complete");
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("the directory is writable");
        Self { issuer, dir }
    }

    /// For `mail.ca_file`.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for `name` that is valid now.
    pub(crate) fn issue(&self, name: &str) -> Identity {
        self.sign(&params_for(name))
    }

    /// A certificate for `name` that has expired.
    pub(crate) fn issue_expired(&self, name: &str) -> Identity {
        let mut params = params_for(name);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the parameters are complete");
        Identity::new(certificate.der().clone(), &key)
    }
}

/// What a server shows in its handshake.
#[derive(Clone)]
pub(crate) struct Identity {
    acceptor: TlsAcceptor,
}

impl Identity {
    /// A certificate for `name` that nobody but its key vouches for.
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params_for(name).self_signed(&key).expect("the parameters are complete");
        Self::new(certificate.der().clone(), &key)
    }

    fn new(certificate: CertificateDer<'static>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is in PKCS#8");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("key and certificate belong together");
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }
}

fn params_for(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("the name is a host name or address")
}
