//! The relay that takes our mail: its settings, connections that carry many messages, and what each attempt came to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::sync::Mutex;

use super::dialogue::{Dialogue, Step};
use super::envelope::Envelope;
use super::fault::SessionError;
use super::login::{Login, log_in};
use super::payload::Payload;
use super::session::{Endpoint, Session};
use super::tls::{TlsClient, TlsError, TlsMode};
use super::wire::Limits;
use crate::model::{Outcome, Stage};

/// How many messages one connection carries before it is renewed: many relays count them.
pub const MESSAGES_PER_CONNECTION_MAX: u32 = 50;
/// After this much silence a connection is renewed, since what lies between may have forgotten it without a word.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// The longest host name, in bytes (RFC 1035, section 2.3.4).
const HELLO_BYTES_MAX: usize = 255;

/// What the configuration says about the relay.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// What it is called in messages.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// When the dialogue is encrypted.
    pub tls: TlsMode,
    /// Authorities to trust in place of the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// The account, if the relay wants one.
    pub login: Option<Login>,
    /// What EHLO says: this machine's full host name, or its address.
    pub hello: String,
    /// How long each step may take.
    pub limits: Limits,
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The host cannot be a host name.
    #[error("`mail.host` is {0:?}, which is neither a host name nor an address")]
    Host(String),
    /// The name for EHLO cannot be one.
    #[error("`mail.hello` is {0:?}: give this machine's full host name, such as host.example.org, or its address")]
    Hello(String),
    /// A password would leave the machine in the clear.
    #[error(
        "`mail.tls` is \"none\" and a password is configured: it would go to {0} in the clear; set `mail.tls` to \
         \"starttls\" or \"implicit\" (\"none\" with a password is for a relay on this machine only)"
    )]
    PasswordInTheClear(String),
    /// The account's name or password has a character that no login can carry.
    #[error("`mail.username` or the password has a control character: remove it (a stray line end, for instance)")]
    Credentials,
    /// TLS cannot be set up.
    #[error("TLS to the relay cannot be set up")]
    Tls(#[from] TlsError),
}

/// A relay. Clones are the same relay: they share the memory of a refused login.
#[derive(Debug, Clone)]
pub struct Relay {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    endpoint: Endpoint,
    login: Option<Login>,
    /// What the login came to when it was refused. The lock is held while logging in, so that connections that open
    /// at the same time do not each spend an attempt on a wrong password and get the account locked.
    login_refusal: Mutex<Option<Outcome>>,
}

/// A probe that did not reach its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeError {
    /// The steps up to the failure and including it, in words.
    pub steps: Vec<String>,
    /// What an attempt to send would have come to.
    pub outcome: Outcome,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Outcome::Accepted { reply }
        | Outcome::TransientRecipient { reply, .. }
        | Outcome::TransientRelay { reply, .. }
        | Outcome::PermanentRecipient { reply, .. }
        | Outcome::PermanentMessage { reply, .. }
        | Outcome::Configuration { reply, .. }
        | Outcome::Unconfirmed { reply }) = &self.outcome;
        f.write_str(reply)
    }
}

impl std::error::Error for ProbeError {}

impl Relay {
    /// Checks the settings and reads the certificates; connects to nothing.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn new(settings: RelaySettings) -> Result<Self, RelayError> {
        let host = host_name(&settings.host).ok_or_else(|| RelayError::Host(settings.host.clone()))?;
        let hello = hello_name(&settings.hello).ok_or_else(|| RelayError::Hello(settings.hello.clone()))?;
        if let Some(login) = &settings.login {
            if settings.tls == TlsMode::None && !is_loopback(&host) {
                return Err(RelayError::PasswordInTheClear(host));
            }
            if login
                .username
                .chars()
                .chain(login.password.expose_secret().chars())
                .any(char::is_control)
            {
                return Err(RelayError::Credentials);
            }
        }
        let tls = match settings.tls {
            TlsMode::Implicit | TlsMode::Starttls => Some(TlsClient::new(&host, settings.ca_file)?),
            TlsMode::None => None,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                name: settings.name,
                endpoint: Endpoint {
                    host,
                    port: settings.port,
                    mode: settings.tls,
                    tls,
                    hello,
                    limits: settings.limits,
                },
                login: settings.login,
                login_refusal: Mutex::new(None),
            }),
        })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// A connection for one worker. It connects with the first message.
    pub fn open(&self) -> RelayConnection {
        RelayConnection {
            relay: self.clone(),
            session: None,
            dialogue: Dialogue::default(),
        }
    }

    /// Lets the next connection log in again, once, after the login was refused.
    pub async fn allow_login(&self) {
        *self.shared.login_refusal.lock().await = None;
    }

    /// Connects, encrypts, logs in and takes leave; sends nothing. The steps in words, with their durations.
    ///
    /// # Errors
    /// The step that failed, after those that did not.
    pub async fn probe(&self) -> Result<Vec<String>, ProbeError> {
        self.allow_login().await;
        let mut connection = self.open();
        let connected = connection.connect().await;
        if let Ok(session) = connected {
            session.quit(&mut connection.dialogue).await;
            return Ok(connection.dialogue_in_words());
        }
        let steps = connection.dialogue_in_words();
        connected
            .map(|_| Vec::new())
            .map_err(|outcome| ProbeError { steps, outcome })
    }
}

/// One worker's connection to the relay, renewed as needed.
#[derive(Debug)]
pub struct RelayConnection {
    relay: Relay,
    /// Absent while a message is being sent, so that a send that is dropped half-way takes its socket with it.
    session: Option<Session>,
    dialogue: Dialogue,
}

impl RelayConnection {
    /// Sends one message to one recipient and says what came of it.
    ///
    /// `before_data` runs once, after the relay has agreed to the recipient and before DATA: the place to record that
    /// the relay may get the message from now on. It does not run when the attempt ends earlier. An attempt over a
    /// connection that turns out to be closed goes on over a new one, unless the message had begun.
    ///
    /// # Errors
    /// Only that of `before_data`; the message is not sent then.
    pub async fn send<E>(
        &mut self,
        envelope: &Envelope,
        message: &[u8],
        before_data: impl Future<Output = Result<(), E>>,
    ) -> Result<Outcome, E> {
        self.dialogue.clear();
        let payload = match Payload::new(message) {
            Ok(payload) => payload,
            Err(error) => return Ok(error.outcome()),
        };
        let mut before_data = pin!(before_data);
        let mut is_recorded = false;
        self.retire_worn_session().await;
        loop {
            let (mut session, is_reused) = match self.session.take() {
                Some(session) => (session, true),
                None => match self.connect().await {
                    Ok(session) => (session, false),
                    Err(outcome) => return Ok(outcome),
                },
            };
            let mut result = session
                .offer(envelope, &payload, &mut self.dialogue)
                .await
                .map(|()| None);
            if result.is_ok() {
                if !is_recorded {
                    if let Err(error) = before_data.as_mut().await {
                        self.session = Some(session);
                        return Err(error);
                    }
                    is_recorded = true;
                }
                result = session.transmit(&payload, &mut self.dialogue).await.map(Some);
            }
            match result {
                Ok(reply) => {
                    self.session = Some(session);
                    let reply = reply.map(|reply| reply.to_string()).unwrap_or_default();
                    return Ok(Outcome::Accepted { reply });
                }
                Err(error) if is_reused && is_before_message(&error) && error.is_stale() => {}
                Err(error) => {
                    if session.survives(&error) {
                        self.session = Some(session);
                    }
                    return Ok(error.outcome());
                }
            }
        }
    }

    /// The relay that it leads to.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The steps of the latest message, or of opening the connection for it.
    pub fn dialogue(&self) -> &[Step] {
        self.dialogue.steps()
    }

    /// The steps of the latest message in words.
    pub fn dialogue_in_words(&self) -> Vec<String> {
        self.dialogue.steps().iter().map(ToString::to_string).collect()
    }

    /// Takes leave of the relay.
    pub async fn close(mut self) {
        if let Some(session) = self.session.take() {
            session.quit(&mut self.dialogue).await;
        }
    }

    async fn retire_worn_session(&mut self) {
        let is_worn =
            |session: &Session| session.n_accepted() >= MESSAGES_PER_CONNECTION_MAX || session.idle() > IDLE_MAX;
        if let Some(session) = self.session.take_if(|session| is_worn(session)) {
            session.quit(&mut self.dialogue).await;
        }
    }

    /// A new session, logged in.
    async fn connect(&mut self) -> Result<Session, Outcome> {
        let shared = Arc::clone(&self.relay.shared);
        let Some(login) = &shared.login else {
            return self.open_session(&shared.endpoint).await;
        };
        if let Some(refusal) = shared.login_refusal.lock().await.clone() {
            return Err(refusal);
        }
        let mut session = self.open_session(&shared.endpoint).await?;
        let mut known_refusal = shared.login_refusal.lock().await;
        if let Some(refusal) = known_refusal.clone() {
            return Err(refusal);
        }
        log_in(&mut session, login, &mut self.dialogue).await.map_err(|error| {
            let outcome = error.outcome();
            if matches!(outcome, Outcome::Configuration { .. }) {
                *known_refusal = Some(outcome.clone());
            }
            outcome
        })?;
        Ok(session)
    }

    async fn open_session(&mut self, endpoint: &Endpoint) -> Result<Session, Outcome> {
        let opened = Session::open(endpoint, &mut self.dialogue).await;
        match &opened {
            Ok(_) => tracing::debug!(relay.host = %endpoint.host, relay.port = endpoint.port, "connected to the relay"),
            Err(error) => {
                tracing::debug!(relay.host = %endpoint.host, relay.stage = ?error.stage, "no session with the relay");
            }
        }
        opened.map_err(|error| error.outcome())
    }
}

/// Whether the relay cannot have the message: its text had not begun.
fn is_before_message(error: &SessionError) -> bool {
    error.stage <= Stage::Data
}

fn host_name(text: &str) -> Option<String> {
    let text = text.trim_start_matches('[').trim_end_matches(']');
    if text.parse::<IpAddr>().is_ok() {
        return Some(text.to_owned());
    }
    let name = idna::domain_to_ascii(text).ok()?;
    let is_name = !name.is_empty()
        && name.len() <= HELLO_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    is_name.then_some(name)
}

fn hello_name(text: &str) -> Option<ClientId> {
    match text.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => Some(ClientId::Ipv4(address)),
        Ok(IpAddr::V6(address)) => Some(ClientId::Ipv6(address)),
        Err(_) => host_name(text).map(ClientId::Domain),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::login::AuthChoice;
    use secrecy::SecretString;

    fn settings(host: &str, tls: TlsMode) -> RelaySettings {
        RelaySettings {
            name: host.to_owned(),
            host: host.to_owned(),
            port: 25,
            tls,
            ca_file: None,
            login: Some(Login {
                username: "papers".to_owned(),
                password: SecretString::from("hunter2"),
                auth: AuthChoice::Auto,
            }),
            hello: "host.example.org".to_owned(),
            limits: Limits::default(),
        }
    }

    #[test]
    fn a_password_in_the_clear_stays_on_this_machine() {
        #[track_caller]
        fn check(host: &str, is_allowed: bool) {
            let relay = Relay::new(settings(host, TlsMode::None));
            assert_eq!(relay.is_ok(), is_allowed, "{host}: {relay:?}");
        }
        check("relay.example.org", false);
        check("192.0.2.1", false);
        check("localhost.example.org", false);
        check("localhost", true);
        check("127.0.0.2", true);
        check("::1", true);
        check("[::1]", true);
        check("::ffff:127.0.0.1", true);
    }

    #[test]
    fn settings_that_would_break_the_dialogue_are_refused() {
        let with = |change: fn(&mut RelaySettings)| {
            let mut changed = settings("localhost", TlsMode::None);
            change(&mut changed);
            Relay::new(changed).map(drop).map_err(|error| error.to_string())
        };
        assert!(with(|_| ()).is_ok());
        assert!(with(|s| s.hello = "192.0.2.7".into()).is_ok());
        for (change, named) in [
            (
                (|s| s.hello = "vm\r\nMAIL FROM:<>".into()) as fn(&mut RelaySettings),
                "mail.hello",
            ),
            (|s| s.hello = String::new(), "mail.hello"),
            (|s| s.host = "two words".into(), "mail.host"),
            (|s| s.host = String::new(), "mail.host"),
            (
                |s| s.login.as_mut().unwrap().password = SecretString::from("hunter2\n"),
                "control character",
            ),
        ] {
            let error = with(change).unwrap_err();
            assert!(error.contains(named) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn names_are_given_in_the_form_of_the_wire() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(hello_name(text).map(|name| name.to_string()).as_deref(), expected);
        }
        check("host.example.org", Some("host.example.org"));
        check("bücher.example", Some("xn--bcher-kva.example"));
        check("192.0.2.7", Some("[192.0.2.7]"));
        check("[2001:db8::1]", Some("[IPv6:2001:db8::1]"));
        check("a b", None);
    }
}
