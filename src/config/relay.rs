//! The relays: the one of `[mail]` itself and those of `[[mail.relay]]`, how each is reached and how we log in.

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    mail::{Context, STAGE_TIMEOUT_DEFAULT, STAGE_TIMEOUT_MIN},
    problems::quote,
    secret::{is_open_to_others, read_secret},
    section::Section,
    units::show_duration,
    url::{is_loopback_host, parse_host},
};

/// The name under which systemd hands over the first relay's password (`LoadCredential=smtp-password:…`). Those of the
/// further ones end in their place: `smtp-password-2` and so on.
pub const PASSWORD_CREDENTIAL: &str = "smtp-password";
/// How many further relays there may be.
const FURTHER_MAX: usize = 9;

/// How the connection to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// TLS after STARTTLS, which is required (RFC 3207).
    Starttls,
    /// None: never with a password, unless the relay is this machine.
    None,
}

impl Tls {
    /// The usual port.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::Starttls => 587,
            Self::None => 25,
        }
    }
}

/// How we log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// The best mechanism that the relay offers.
    Auto,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN.
    Login,
    /// XOAUTH2; the password is the access token.
    Xoauth2,
}

/// Who we are to the relay.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password, byte for byte as configured.
    pub password: SecretString,
    /// How we log in.
    pub auth: Auth,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.username == other.username
            && self.auth == other.auth
            && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// The servers to which mail is handed, and how much at a time.
#[derive(Debug, Clone)]
pub struct Relays {
    /// The one of `[mail]` itself.
    pub first: Relay,
    /// Those of `[[mail.relay]]`: each is used while those before it cannot be.
    pub further: Vec<Relay>,
    /// How many connections are used at a time.
    pub connections: u32,
    /// How many messages are handed over per minute; 0: no limit.
    pub messages_per_minute: u32,
}

/// One server to which mail is handed.
#[derive(Debug, Clone)]
pub struct Relay {
    /// What it is called in messages: host and port, with the user name where another one has the same.
    pub name: String,
    /// Its name in ASCII form, or its number.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// How we log in, if we do.
    pub credentials: Option<Credentials>,
    /// Certificates to trust besides the system's, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// What we call ourselves in EHLO; the machine's name unless configured.
    pub hello: Option<String>,
    /// An upper bound for the limit of every stage of a dialogue.
    pub stage_timeout_max: Duration,
}

impl Relays {
    /// Reads the keys of `[mail]` that concern relays, and `[[mail.relay]]`; what must be there is demanded only when
    /// relays are used.
    pub(super) fn read(section: &Section<'_>, context: &Context<'_>, is_used: bool) -> Self {
        let credential = PASSWORD_CREDENTIAL.to_owned();
        let first = Relay::read(section, context, is_used, &credential, None);
        let connections = section.number("connections", 2, 1..=20);
        let messages_per_minute = section.number("messages_per_minute", 0, 0..=100_000);
        let mut further: Vec<Relay> = Vec::new();
        for (number, table) in (2..).zip(section.tables("relay")) {
            let credential = format!("{PASSWORD_CREDENTIAL}-{number}");
            let mut relay = Relay::read(&table, context, is_used, &credential, Some(&first));
            let is_taken = |name: &str| std::iter::once(&first).chain(&further).any(|other| other.name == name);
            let username = table.get("username").and_then(|entry| entry.string());
            if is_taken(&relay.name)
                && let Some(username) = username
            {
                relay.name = format!("{username}@{}", relay.name);
            }
            let place = table.place().clone();
            if !relay.host.is_empty() && is_taken(&relay.name) {
                let what = format!("{} is there already", relay.name);
                table.sink().refuse(&place, what, "name another server, or remove it");
            }
            if further.len() == FURTHER_MAX {
                let what = format!("is one relay too many: {FURTHER_MAX} further ones at most");
                table.sink().refuse(&place, what, "remove some");
            }
            section.note(&format!("relay {number}"), Some(relay.in_words()));
            table.finish(|key| match key {
                "connections" | "messages_per_minute" | "retry_delay" | "unconfirmed" => {
                    Some(format!("{key} holds for all relays: write it in [mail]"))
                }
                key => hint(key),
            });
            further.push(relay);
        }
        Self {
            first,
            further,
            connections,
            messages_per_minute,
        }
    }

    /// All of them, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Relay> {
        std::iter::once(&self.first).chain(&self.further)
    }
}

/// What explains keys that people bring from elsewhere.
pub(super) fn hint(key: &str) -> Option<String> {
    match key {
        "server" | "smtp_host" | "smtp_server" => Some("the relay's name is host".to_owned()),
        "user" | "login" => Some("write username".to_owned()),
        "encryption" | "starttls" | "ssl" | "security" => {
            Some("write tls = \"implicit\", \"starttls\" or \"none\"".to_owned())
        }
        "timeout" => {
            Some("each stage of the dialogue has its own limit; stage_timeout_max lowers all of them".to_owned())
        }
        _ => None,
    }
}

impl Relay {
    /// Reads one relay's keys. Its password may come as the systemd credential `credential`; a further relay has our
    /// own name and the limit of a stage from the `first` one unless it says otherwise.
    fn read(
        section: &Section<'_>,
        context: &Context<'_>,
        is_used: bool,
        credential: &str,
        first: Option<&Self>,
    ) -> Self {
        let host = read_host(section, is_used);
        let tls = section.choice(
            "tls",
            Tls::Starttls,
            &[
                ("implicit", Tls::Implicit),
                ("starttls", Tls::Starttls),
                ("none", Tls::None),
            ],
        );
        let port = section.number("port", u32::from(tls.default_port()), 1..=65_535);
        let port = u16::try_from(port).unwrap_or(tls.default_port());
        warn_of_odd_port(section, tls, port);
        let ca_file = section.string("ca_file").map(|path| context.base.read(&path));
        section.note("ca_file", ca_file.as_ref().map(|path| path.display().to_string()));
        if let (Some(path), Some(entry)) = (
            ca_file.as_ref().filter(|path| is_used && !path.is_file()),
            section.get("ca_file"),
        ) {
            entry.refuse(
                format!("{} is not a file", path.display()),
                "name the relay's certificate in PEM form",
            );
        }
        let usage = Usage { is_used, credential };
        Self {
            name: format!("{host}:{port}"),
            credentials: read_credentials(section, context, &usage, tls, &host),
            host,
            port,
            tls,
            ca_file,
            hello: read_hello(section).or_else(|| first.and_then(|first| first.hello.clone())),
            stage_timeout_max: section.duration(
                "stage_timeout_max",
                first.map_or(STAGE_TIMEOUT_DEFAULT, |first| first.stage_timeout_max),
                STAGE_TIMEOUT_MIN..=STAGE_TIMEOUT_DEFAULT,
            ),
        }
    }

    /// What is set, for telling a reload's changes; no password.
    fn in_words(&self) -> String {
        let tls = match self.tls {
            Tls::Implicit => "implicit",
            Tls::Starttls => "starttls",
            Tls::None => "none",
        };
        let mut words = format!("{}, tls {tls}", self.name);
        if let Some(login) = &self.credentials {
            words.push_str(&format!(", username {} ({:?})", login.username, login.auth));
        }
        if let Some(file) = &self.ca_file {
            words.push_str(&format!(", ca_file {}", file.display()));
        }
        if let Some(hello) = &self.hello {
            words.push_str(&format!(", hello {hello}"));
        }
        words.push_str(&format!(
            ", stage_timeout_max {}",
            show_duration(self.stage_timeout_max)
        ));
        words
    }
}

/// How a relay's keys are read.
struct Usage<'a> {
    /// Whether mail goes through relays.
    is_used: bool,
    /// The systemd credential that may hold its password.
    credential: &'a str,
}

fn read_host(section: &Section<'_>, is_used: bool) -> String {
    let text = section.string("host");
    match (&text, section.get("host")) {
        (Some(text), Some(entry)) => {
            if let Some(host) = parse_host(text) {
                return host;
            }
            let what = format!("{} is not the name of a host", quote(text));
            entry.refuse(
                what,
                "write the name alone, such as \"smtp.example.org\"; the port has a key of its own",
            );
        }
        (None, None) if is_used => section.sink().refuse(
            &section.place_of("host"),
            "is missing for transport = \"smtp\"",
            "write host = \"smtp.your-domain\"",
        ),
        _ => {}
    }
    String::new()
}

/// A port that belongs to another kind of TLS is the commonest reason for a connection that hangs.
fn warn_of_odd_port(section: &Section<'_>, tls: Tls, port: u16) {
    let usual = match port {
        465 => Tls::Implicit,
        587 => Tls::Starttls,
        _ => return,
    };
    let word = if usual == Tls::Implicit { "implicit" } else { "starttls" };
    if let Some(entry) = section.get("port").filter(|_| tls != usual) {
        section.sink().warn(
            &entry.place,
            format!("relays speak another kind of TLS on {port}"),
            format!("try tls = {word:?}"),
        );
    }
}

fn read_hello(section: &Section<'_>) -> Option<String> {
    let text = section.string("hello")?;
    let text = text.trim();
    let is_literal = text.starts_with('[') && text.ends_with(']');
    match parse_host(text) {
        Some(_) if is_literal => Some(text.to_owned()),
        Some(host) => Some(host),
        None => {
            let what = format!("{} is not the name of a host", quote(text));
            section
                .get("hello")?
                .refuse(what, "write this machine's full name, such as \"papers.example.org\"");
            None
        }
    }
}

fn read_credentials(
    section: &Section<'_>,
    context: &Context<'_>,
    usage: &Usage<'_>,
    tls: Tls,
    host: &str,
) -> Option<Credentials> {
    let sink = section.sink();
    let auth = section.choice(
        "auth",
        Auth::Auto,
        &[
            ("auto", Auth::Auto),
            ("plain", Auth::Plain),
            ("login", Auth::Login),
            ("xoauth2", Auth::Xoauth2),
        ],
    );
    let username = section.string("username");
    let inline = section.get("password");
    let file = section.get("password_file");
    let password_file = section.string("password_file").map(|path| context.base.read(&path));
    section.note(
        "password_file",
        password_file.as_ref().map(|path| path.display().to_string()),
    );
    let password = inline
        .as_ref()
        .and_then(super::section::Entry::string)
        .map(SecretString::from);
    if let Some(entry) = &inline
        && is_open_to_others(context.config_file)
    {
        sink.warn(
            &entry.place,
            "stands in a file that others may read",
            format!("use password_file, or chmod 600 {}", context.config_file.display()),
        );
    }
    if let Some(entry) = inline.as_ref().filter(|_| file.is_some()) {
        entry.refuse("is given beside password_file", "keep one of the two");
        return None;
    }
    if !usage.is_used {
        return None;
    }
    let credential_name = usage.credential;
    let credential = context
        .environment
        .credentials_directory
        .as_ref()
        .map(|dir| dir.join(credential_name))
        .filter(|path| path.exists());
    if let (Some(entry), Some(_)) = (inline.as_ref().or(file.as_ref()), &credential) {
        let what = format!("is given beside the systemd credential {credential_name}");
        entry.refuse(what, "keep one of the two");
        return None;
    }
    let Some(username) = username.filter(|name| !name.trim().is_empty()) else {
        if let Some(entry) = inline.as_ref().or(file.as_ref()) {
            entry.refuse("is given without username", "add username, or remove it");
        }
        return None;
    };
    let user_place = section
        .get("username")
        .map_or_else(|| section.place_of("username"), |entry| entry.place);
    if username.contains('\0') || username.contains(['\r', '\n']) {
        sink.refuse(&user_place, "holds a control character", "delete it");
        return None;
    }
    if tls == Tls::None && !is_loopback_host(host) {
        sink.refuse(
            &user_place,
            "would go over the network unprotected with tls = \"none\"",
            "set tls = \"starttls\" or \"implicit\", or remove username",
        );
        return None;
    }
    let place = inline.or(file).map_or(user_place, |entry| entry.place);
    let password = match (password, password_file.or(credential)) {
        (Some(password), _) => password,
        (None, Some(path)) => match read_secret(&path) {
            Ok(password) => password,
            Err(what) => {
                sink.refuse(
                    &place,
                    what,
                    "the file must hold the password alone and be readable for the daemon",
                );
                return None;
            }
        },
        (None, None) => {
            let mend = format!("add password_file or password, or pass the systemd credential {credential_name}");
            sink.refuse(&place, "has no password", mend);
            return None;
        }
    };
    if password.expose_secret().is_empty() {
        sink.refuse(&place, "is empty", "write the password, or remove username");
        return None;
    }
    // A NUL ends a field of PLAIN (RFC 4616), and no relay's password has a second line.
    if password.expose_secret().contains(['\0', '\r', '\n']) {
        sink.refuse(&place, "holds more than one line", "keep the line with the password");
        return None;
    }
    Some(Credentials {
        username,
        password,
        auth,
    })
}
