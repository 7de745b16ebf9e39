//! One SMTP dialogue (RFC 5321) with a relay: every step has its own limit and its own name in a failure.

use std::fmt::Write as _;
use std::time::Duration;

use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::time::{Instant, timeout};

use super::capabilities::Capabilities;
use super::dial::dial;
use super::dialogue::Dialogue;
use super::envelope::{Envelope, needs_utf8};
use super::fault::{Fault, SessionError, words};
use super::payload::Payload;
use super::reply::Reply;
use super::tls::{TlsClient, TlsMode};
use super::wire::{Duplex, Limits, Wire};
use crate::model::Stage;

/// On this port a relay waits for TLS (RFC 8314), so a dialogue in the clear would only wait for the greeting's limit.
const IMPLICIT_TLS_PORT: u16 = 465;
/// How long a greeting in the clear is waited for on [`IMPLICIT_TLS_PORT`].
const MISTAKEN_PORT_LIMIT: Duration = Duration::from_secs(10);

/// Where a relay is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// When the dialogue is encrypted.
    pub mode: TlsMode,
    /// How it is encrypted; present unless `mode` is [`TlsMode::None`].
    pub tls: Option<TlsClient>,
    /// What EHLO says.
    pub hello: ClientId,
    /// How long each step may take.
    pub limits: Limits,
}

/// Which kind of reply lets the dialogue go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// 2yz.
    Done,
    /// 3yz.
    More,
    /// 2yz or 3yz.
    Any,
}

impl Expected {
    fn accepts(self, reply: &Reply) -> bool {
        match self {
            Self::Done => reply.is_positive(),
            Self::More => reply.is_intermediate(),
            Self::Any => reply.is_positive() || reply.is_intermediate(),
        }
    }
}

/// An open dialogue.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
    offered: Capabilities,
    limits: Limits,
    is_encrypted: bool,
    is_loopback: bool,
    /// Something was begun that the relay has not ended with a 250 to the final dot.
    in_transaction: bool,
    /// A reply is still owed, so nothing more can be asked.
    is_out_of_step: bool,
    n_accepted: u32,
    last_used: Instant,
}

impl Session {
    /// Connects, encrypts as the mode wants it, and says EHLO.
    ///
    /// # Errors
    /// The step that failed and why; nothing of the message has been said by then.
    pub async fn open(endpoint: &Endpoint, dialogue: &mut Dialogue) -> Result<Self, SessionError> {
        let limits = endpoint.limits;
        let began = Instant::now();
        let stream = dial(&endpoint.host, endpoint.port, limits.connect)
            .await
            .map_err(|fault| failed(Stage::Connect, fault, began, dialogue))?;
        let peer = stream
            .peer_addr()
            .map_err(|error| failed(Stage::Connect, Fault::Broken(error), began, dialogue))?;
        dialogue.note(words(Stage::Connect), peer, began);

        let mut stream: Box<dyn Duplex> = Box::new(stream);
        if endpoint.mode == TlsMode::Implicit {
            stream = encrypt(endpoint, stream, dialogue).await?;
        }
        let mut session = Self {
            wire: Wire::new(stream),
            offered: Capabilities::default(),
            limits,
            is_encrypted: endpoint.mode == TlsMode::Implicit,
            is_loopback: peer.ip().to_canonical().is_loopback(),
            in_transaction: false,
            is_out_of_step: false,
            n_accepted: 0,
            last_used: Instant::now(),
        };
        session.await_greeting(endpoint, dialogue).await?;
        session.hello(endpoint, dialogue).await?;
        if endpoint.mode == TlsMode::Starttls {
            session = session.start_tls(endpoint, dialogue).await?;
        }
        Ok(session)
    }

    /// What the relay offers, as it said after encryption.
    pub fn offered(&self) -> &Capabilities {
        &self.offered
    }

    /// The limits of this session.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many messages it has carried.
    pub fn n_accepted(&self) -> u32 {
        self.n_accepted
    }

    /// How long nothing was said.
    pub fn idle(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// Whether nobody between here and the relay can read along.
    pub fn may_carry_secrets(&self) -> bool {
        self.is_encrypted || self.is_loopback
    }

    /// Whether a further message can be sent after `error`.
    pub fn survives(&self, error: &SessionError) -> bool {
        error.leaves_session_usable() && !self.is_out_of_step
    }

    /// Hides `secret` in everything that the relay says from now on.
    pub fn hide(&mut self, secret: &str) {
        self.wire.hide(secret);
    }

    /// Names sender and recipient. Up to here nothing can have been delivered.
    ///
    /// # Errors
    /// The step that failed and why; a message or address that this relay cannot take is not offered at all.
    pub async fn offer(
        &mut self,
        envelope: &Envelope,
        payload: &Payload<'_>,
        dialogue: &mut Dialogue,
    ) -> Result<(), SessionError> {
        let mail = self.mail_command(envelope, payload)?.to_string();
        let recipient = Rcpt::new(envelope.recipient().clone(), Vec::new()).to_string();
        let limits = self.limits;
        if self.in_transaction {
            self.exchange(Stage::Mail, &Rset.to_string(), Expected::Done, limits.mail, dialogue)
                .await?;
        }
        self.in_transaction = true;
        if !self.offered.pipelining {
            self.exchange(Stage::Mail, &mail, Expected::Done, limits.mail, dialogue)
                .await?;
            self.exchange(Stage::Recipient, &recipient, Expected::Done, limits.recipient, dialogue)
                .await?;
            return Ok(());
        }
        let began = Instant::now();
        self.say(Stage::Mail, &(mail + &recipient), limits.mail, began, dialogue)
            .await?;
        self.is_out_of_step = true;
        let sender_result = self
            .hear(Stage::Mail, Expected::Done, limits.mail, began, dialogue)
            .await;
        if let Err(error) = &sender_result
            && !error.leaves_session_usable()
        {
            return sender_result.map(drop);
        }
        let recipient_result = self
            .hear(Stage::Recipient, Expected::Done, limits.recipient, began, dialogue)
            .await;
        self.is_out_of_step = matches!(&recipient_result, Err(error) if !error.leaves_session_usable());
        // After a refused MAIL the reply to RCPT is only a consequence, most often 503, and leaves both in step.
        if let Err(error) = sender_result {
            if let Err(consequence) = &recipient_result
                && let Fault::Refused(reply) = &consequence.fault
            {
                self.is_out_of_step = reply.is_closing();
            }
            return Err(error);
        }
        recipient_result.map(drop)
    }

    /// Sends the message, after [`Session::offer`] succeeded, and returns the relay's word that it took it.
    ///
    /// # Errors
    /// The step that failed and why. From [`Stage::FinalReply`] on, everything but a refusal leaves open whether the
    /// relay has the message.
    pub async fn transmit(&mut self, payload: &Payload<'_>, dialogue: &mut Dialogue) -> Result<Reply, SessionError> {
        let limits = self.limits;
        self.exchange(Stage::Data, &Data.to_string(), Expected::More, limits.data, dialogue)
            .await?;
        let began = Instant::now();
        if let Err(fault) = self.wire.write_body(payload.stuffed(), &limits).await {
            // Between 354 and the final dot every line is message text, so the session cannot be used for anything else.
            self.is_out_of_step = true;
            return Err(failed(Stage::Body, fault, began, dialogue));
        }
        dialogue.note(words(Stage::Body), format_args!("{} bytes", payload.size()), began);
        let began = Instant::now();
        // From the first byte of the end on, the relay may have the message, whatever happens to us.
        if let Err(fault) = self.wire.write(payload.end(), limits.block).await {
            return Err(failed(Stage::FinalReply, fault, began, dialogue));
        }
        let reply = self
            .hear(Stage::FinalReply, Expected::Done, limits.final_reply, began, dialogue)
            .await?;
        self.in_transaction = false;
        self.n_accepted += 1;
        self.last_used = Instant::now();
        Ok(reply)
    }

    /// Takes leave and closes, within the limit for QUIT in all. What goes wrong here changes nothing.
    pub async fn quit(mut self, dialogue: &mut Dialogue) {
        let limit = self.limits.quit;
        let farewell = async {
            self.wire.write(Quit.to_string().as_bytes(), limit).await?;
            let response = self.wire.read(limit).await?;
            self.wire.shut_down(limit).await?;
            Ok::<_, Fault>(Reply::new(&response))
        };
        let began = Instant::now();
        let said = match timeout(limit, farewell).await {
            Ok(Ok(reply)) => reply.to_string(),
            Ok(Err(fault)) => fault.to_string(),
            Err(_elapsed) => "no answer".to_owned(),
        };
        dialogue.note("QUIT", said, began);
    }

    /// Sends one line and waits for its reply.
    ///
    /// # Errors
    /// When the reply is another than `expected`, does not come within `limit`, or the relay is gone.
    pub async fn exchange(
        &mut self,
        stage: Stage,
        line: &str,
        expected: Expected,
        limit: Duration,
        dialogue: &mut Dialogue,
    ) -> Result<Reply, SessionError> {
        let began = Instant::now();
        self.say(stage, line, limit, began, dialogue).await?;
        self.hear(stage, expected, limit, began, dialogue).await
    }

    async fn say(
        &mut self,
        stage: Stage,
        line: &str,
        limit: Duration,
        began: Instant,
        dialogue: &mut Dialogue,
    ) -> Result<(), SessionError> {
        self.wire
            .write(line.as_bytes(), limit)
            .await
            .map_err(|fault| failed(stage, fault, began, dialogue))
    }

    async fn hear(
        &mut self,
        stage: Stage,
        expected: Expected,
        limit: Duration,
        began: Instant,
        dialogue: &mut Dialogue,
    ) -> Result<Reply, SessionError> {
        let read = self.wire.read(limit).await;
        let reply = read
            .map(|response| Reply::new(&response))
            .map_err(|fault| failed(stage, fault, began, dialogue))?;
        self.last_used = Instant::now();
        if expected.accepts(&reply) {
            dialogue.note(words(stage), &reply, began);
            Ok(reply)
        } else {
            Err(failed(stage, Fault::Refused(reply), began, dialogue))
        }
    }

    async fn await_greeting(&mut self, endpoint: &Endpoint, dialogue: &mut Dialogue) -> Result<(), SessionError> {
        let is_mistaken_port = endpoint.port == IMPLICIT_TLS_PORT && !self.is_encrypted;
        let limit = match is_mistaken_port {
            true => self.limits.greeting.min(MISTAKEN_PORT_LIMIT),
            false => self.limits.greeting,
        };
        let began = Instant::now();
        match self.hear(Stage::Greeting, Expected::Done, limit, began, dialogue).await {
            Ok(_greeting) => Ok(()),
            Err(error) if is_mistaken_port && !matches!(error.fault, Fault::Refused(_)) => Err(SessionError::new(
                Stage::Greeting,
                Fault::Setting(format!(
                    "{}; port {IMPLICIT_TLS_PORT} is for TLS from the first byte: set `mail.tls` to \"implicit\", or \
                     `mail.port` to 587",
                    error.fault
                )),
            )),
            Err(error) => Err(error),
        }
    }

    async fn hello(&mut self, endpoint: &Endpoint, dialogue: &mut Dialogue) -> Result<(), SessionError> {
        let began = Instant::now();
        let limit = self.limits.hello;
        let command = Ehlo::new(endpoint.hello.clone()).to_string();
        self.say(Stage::Hello, &command, limit, began, dialogue).await?;
        let response: Response = self
            .wire
            .read(limit)
            .await
            .map_err(|fault| failed(Stage::Hello, fault, began, dialogue))?;
        let reply = Reply::new(&response);
        if !reply.is_positive() {
            return Err(failed(Stage::Hello, Fault::Refused(reply), began, dialogue));
        }
        self.offered = Capabilities::parse(&response);
        dialogue.note(words(Stage::Hello), reply, began);
        Ok(())
    }

    /// STARTTLS, required: what the relay said in the clear is forgotten (RFC 3207, section 4.2).
    async fn start_tls(mut self, endpoint: &Endpoint, dialogue: &mut Dialogue) -> Result<Self, SessionError> {
        if !self.offered.starttls {
            return Err(SessionError::new(
                Stage::Tls,
                Fault::Setting(format!(
                    "{} port {} offers no STARTTLS, so nothing is sent: check `mail.port`, set `mail.tls` to \"implicit\" \
                     if it is an implicit port, or look for who strips it on the way",
                    endpoint.host, endpoint.port
                )),
            ));
        }
        let limit = self.limits.hello;
        self.exchange(Stage::Tls, &Starttls.to_string(), Expected::Done, limit, dialogue)
            .await?;
        let stream = self
            .wire
            .into_stream()
            .map_err(|fault| failed(Stage::Tls, fault, Instant::now(), dialogue))?;
        let stream = encrypt(endpoint, stream, dialogue).await?;
        self.wire = Wire::new(stream);
        self.is_encrypted = true;
        self.hello(endpoint, dialogue).await?;
        Ok(self)
    }

    /// MAIL with what the relay offers and the message needs; what cannot be sent is found out before it is offered.
    fn mail_command(&self, envelope: &Envelope, payload: &Payload<'_>) -> Result<Mail, SessionError> {
        let mut parameters = Vec::new();
        match self.offered.size {
            Some(size_max) if size_max > 0 && payload.size() as u64 > size_max => {
                return Err(SessionError::new(
                    Stage::Mail,
                    Fault::Message(format!(
                        "the message has {} bytes and the relay takes {size_max} at most (SIZE): lower \
                         `digest.html_bytes_max` or `digest.papers_max`",
                        payload.size()
                    )),
                ));
            }
            Some(_) => parameters.push(MailParameter::Size(payload.size())),
            None => {}
        }
        if needs_utf8(envelope.sender()) && !self.offered.utf8 {
            return Err(SessionError::new(
                Stage::Mail,
                Fault::Setting(
                    "the relay takes no address outside ASCII (it offers no SMTPUTF8): check `mail.envelope_sender`"
                        .to_owned(),
                ),
            ));
        }
        if needs_utf8(envelope.recipient()) && !self.offered.utf8 {
            return Err(SessionError::new(
                Stage::Recipient,
                Fault::Address(
                    "the relay takes no address outside ASCII before the @ (it offers no SMTPUTF8)".to_owned(),
                ),
            ));
        }
        if needs_utf8(envelope.sender()) || needs_utf8(envelope.recipient()) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !payload.is_ascii() {
            if !self.offered.eight_bit {
                return Err(SessionError::new(
                    Stage::Mail,
                    Fault::Message(
                        "the message has characters outside ASCII and the relay offers no 8BITMIME".to_owned(),
                    ),
                ));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(Mail::new(Some(envelope.sender().clone()), parameters))
    }
}

async fn encrypt(
    endpoint: &Endpoint,
    stream: Box<dyn Duplex>,
    dialogue: &mut Dialogue,
) -> Result<Box<dyn Duplex>, SessionError> {
    let began = Instant::now();
    let limit = endpoint.limits.tls;
    let encrypted = match &endpoint.tls {
        Some(tls) => timeout(limit, tls.encrypt(stream, endpoint.mode, endpoint.port))
            .await
            .unwrap_or(Err(Fault::TimedOut(limit))),
        None => Err(Fault::Setting("TLS is not set up: check `mail.tls`".to_owned())),
    };
    match encrypted {
        Ok((stream, version)) => {
            dialogue.note(words(Stage::Tls), version, began);
            Ok(stream)
        }
        Err(fault) => Err(failed(Stage::Tls, fault, began, dialogue)),
    }
}

fn failed(stage: Stage, fault: Fault, began: Instant, dialogue: &mut Dialogue) -> SessionError {
    let mut said = fault.to_string();
    if let Fault::Broken(source) = &fault {
        // Writing to a String cannot fail.
        write!(said, ": {source}").expect("a String takes every text");
    }
    dialogue.note(words(stage), said, began);
    SessionError::new(stage, fault)
}
