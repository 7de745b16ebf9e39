//! Each part of the program from the configuration.

use std::sync::Arc;

use chrono::TimeDelta;

use super::AppError;
use crate::{
    config::{self, Config},
    delivery::{self, Transport, Way},
    digest,
    fetch::{
        self, Fetcher,
        client::{Client, ClientSettings},
        gate::Gate,
    },
    mail::{
        compose::Sender,
        dkim::{Signer, SigningKey},
        login::{AuthChoice, Login},
        message::Mailbox,
        relay::{Relay, RelaySettings},
        sendmail::Sendmail,
        tls::TlsMode,
        wire::Limits,
    },
    metrics::Metrics,
    model::Shown,
    render::{self, Renderer},
    roster::Person,
    run::{self, Empty, EnqueueSettings},
    store::Store,
};

pub(super) fn renderer(config: &Config) -> Result<Renderer, AppError> {
    let digest = &config.digest;
    let contact = config.mail.reply_to.as_ref().unwrap_or(&config.mail.from);
    Renderer::new(render::Settings {
        links: digest
            .links
            .iter()
            .map(|link| render::ConfiguredLink {
                name: link.name.clone(),
                url: link.url.clone(),
            })
            .collect(),
        authors_max: digest.authors_max as usize,
        abstracts: shown(config),
        html_bytes_max: usize::try_from(digest.html_bytes_max).unwrap_or(usize::MAX),
        public_url: page_url(config),
        sender_name: sender_name(config),
        contact: Some(contact.address.clone()),
        templates_dir: digest.templates_dir.clone(),
    })
    .map_err(|error| AppError::Setting(error.to_string()))
}

fn lists_replacements(config: &Config) -> bool {
    matches!(config.digest.replacements, config::Replacements::List)
}

fn shown(config: &Config) -> Shown {
    match config.digest.abstracts {
        config::Abstracts::Full => Shown::Full,
        config::Abstracts::Short => Shown::Short,
        config::Abstracts::None => Shown::Title,
    }
}

fn sender_name(config: &Config) -> String {
    config.mail.from.name.clone().unwrap_or_else(|| "Paperround".to_owned())
}

pub(super) fn fetcher(
    config: &Config,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    name: String,
    former_gate: Option<&Gate>,
) -> Result<Fetcher, AppError> {
    let arxiv = &config.arxiv;
    let gate = Gate::new(store, arxiv.request_interval, name);
    let gate = Arc::new(match former_gate {
        Some(former) => gate.beside(former),
        None => gate,
    });
    let settings = ClientSettings {
        contact: arxiv
            .contact
            .clone()
            .unwrap_or_else(|| "no contact configured".to_owned()),
        response_bytes_max: arxiv.response_bytes_max,
        retry_delay: arxiv.retry_delay,
    };
    check_proxies()?;
    let client = Client::new(settings, gate, metrics)
        .map_err(|error| anyhow::Error::new(error).context("the HTTP client cannot be made"))?;
    let address = |key: &str, text: &str| {
        text.parse()
            .map_err(|error| AppError::Setting(format!("arxiv.{key}: {text:?} is no address: {error}")))
    };
    Ok(Fetcher::new(
        client,
        fetch::Settings {
            source: match arxiv.source {
                config::Source::Query => fetch::Choice::Always(fetch::Source::Query),
                config::Source::Harvest => fetch::Choice::Always(fetch::Source::Harvest),
                config::Source::Auto => fetch::Choice::ByNumber,
            },
            api_url: address("api_url", &arxiv.api_url)?,
            oai_url: address("oai_url", &arxiv.oai_url)?,
            rss_url: address("rss_url", &arxiv.rss_url)?,
            oai_timeout: arxiv.oai_timeout,
            timeout: arxiv.timeout,
            lookback: delta(arxiv.lookback),
            lookback_deep: delta(arxiv.lookback_deep),
            page_size: arxiv.page_size,
            retry_delay: arxiv.retry_delay,
            retry_budget: arxiv.retry_budget,
        },
    ))
}

/// The variables that name a proxy for HTTP, in the order in which they count. Small letters as curl wants them.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The HTTP client passes over a proxy that it cannot read, and what it then fails at names no proxy. The value is never
/// shown: it may hold a password.
fn check_proxies() -> Result<(), AppError> {
    for name in PROXY_VARIABLES {
        let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let is_address = value.to_str().is_some_and(|text| {
            let with_scheme = if text.contains("://") {
                text.to_owned()
            } else {
                format!("http://{text}")
            };
            reqwest::Url::parse(&with_scheme).is_ok_and(|url| url.has_host())
        });
        if !is_address {
            return Err(AppError::Setting(format!(
                "the environment's {name} is not the address of a proxy; write it like http://proxy.example.org:3128, or \
                 unset it"
            )));
        }
    }
    Ok(())
}

pub(super) fn run_settings(config: &Config) -> run::Settings {
    let digest = &config.digest;
    run::Settings {
        first_digest: delta(digest.first_digest),
        enqueue: EnqueueSettings {
            digest: digest::Settings {
                papers_max: digest.papers_max as usize,
                order: match digest.order {
                    config::Order::Newest => digest::Order::Newest,
                    config::Order::Strength => digest::Order::Strength,
                },
                shown: shown(config),
            },
            list_replacements: lists_replacements(config),
            empty: match digest.empty {
                config::Empty::Skip => Empty::Skip,
                config::Empty::Weekly => Empty::Weekly,
                config::Empty::Send => Empty::Send,
            },
            welcome: digest.welcome,
            from_domain: domain_of(&config.mail.from.address).to_owned(),
        },
    }
}

pub(super) fn transport(config: &Config) -> Result<Transport, AppError> {
    let way = match &config.mail.transport {
        config::Transport::Smtp(relays) => Way::Smtp(relays.iter().map(relay).collect::<Result<_, _>>()?),
        config::Transport::Sendmail { program } => Way::Sendmail(Sendmail {
            program: program.clone(),
            ..Sendmail::default()
        }),
        config::Transport::Maildir { dir } => Way::Maildir(dir.clone()),
    };
    Ok(Transport::new(
        way,
        config.mail.envelope_sender.clone(),
        config.mail.verp,
    ))
}

fn relay(relay: &config::Relay) -> Result<Relay, AppError> {
    Relay::new(relay_settings(relay)).map_err(|error| AppError::Setting(format!("{}: {}", relay.name, chain(&error))))
}

fn relay_settings(relay: &config::Relay) -> RelaySettings {
    RelaySettings {
        name: relay.name.clone(),
        host: relay.host.clone(),
        port: relay.port,
        tls: match relay.tls {
            config::Tls::Implicit => TlsMode::Implicit,
            config::Tls::Starttls => TlsMode::Starttls,
            config::Tls::None => TlsMode::None,
        },
        ca_file: relay.ca_file.clone(),
        login: relay.credentials.as_ref().map(|credentials| Login {
            username: credentials.username.clone(),
            password: credentials.password.clone(),
            auth: match credentials.auth {
                config::Auth::Auto => AuthChoice::Auto,
                config::Auth::Plain => AuthChoice::Plain,
                config::Auth::Login => AuthChoice::Login,
                config::Auth::Xoauth2 => AuthChoice::Xoauth2,
            },
        }),
        hello: relay.hello.clone().unwrap_or_else(host_name),
        limits: Limits::capped(relay.stage_timeout_max),
    }
}

/// What this machine calls itself; empty where it does not.
pub(super) fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// This machine's name where it is a full one, else an address literal (RFC 5321, 4.1.3): relays refuse bare names.
fn host_name() -> String {
    let name = machine_name();
    if name.contains('.') {
        name
    } else {
        "[127.0.0.1]".to_owned()
    }
}

/// An error with its causes, once each.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

pub(super) fn delivery_settings(config: &Config) -> delivery::Settings {
    let (connections, messages_per_minute) = match &config.mail.transport {
        config::Transport::Smtp(relays) => (relays.connections as usize, relays.messages_per_minute),
        config::Transport::Sendmail { .. } | config::Transport::Maildir { .. } => (1, 0),
    };
    delivery::Settings {
        policy: delivery::Policy {
            retry_delay: delta(config.mail.retry_delay),
            hold_unconfirmed: matches!(config.mail.unconfirmed, config::Unconfirmed::Hold),
            keep_versions: lists_replacements(config),
        },
        connections,
        messages_per_minute,
    }
}

pub(super) fn sender(config: &Config) -> Sender {
    let mail = &config.mail;
    let domain = domain_of(&mail.from.address);
    let mailbox = |mailbox: &config::Mailbox| Mailbox::new(mailbox.name.as_deref(), mailbox.address.clone());
    Sender {
        from: mailbox(&mail.from),
        reply_to: mail.reply_to.as_ref().map(mailbox),
        list_id: format!("papers.{domain}"),
        list_label: sender_name(config),
        feedback_sender: feedback_sender(domain),
        public_url: config.web.public_url.clone(),
        help_url: page_url(config).filter(|url| url.starts_with("https://")),
        unsubscribe_address: mail.unsubscribe_address.clone(),
        owner: Some(mail.reply_to.as_ref().unwrap_or(&mail.from).address.clone()),
    }
}

/// The address of the Daily Papers page, where it is served.
fn page_url(config: &Config) -> Option<String> {
    config.web.public_url.clone().filter(|_| config.web.page)
}

/// 5 to 15 letters and digits that stay the same for one sender, as Gmail's `Feedback-ID` wants them.
fn feedback_sender(domain: &str) -> String {
    let letters: String = domain.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    format!("{letters:x<5}")
}

/// What signs the mails, where it is configured.
///
/// # Errors
/// A key that cannot sign, with its file.
pub fn signer(config: &Config) -> Result<Option<Signer>, AppError> {
    use secrecy::ExposeSecret;
    let Some(dkim) = &config.mail.dkim else { return Ok(None) };
    let keys = dkim
        .keys
        .iter()
        .map(|key| {
            SigningKey::parse(key.key.expose_secret())
                .map(|parsed| (key.selector.clone(), parsed))
                .map_err(|error| AppError::Setting(format!("mail.dkim.key_file: {}: {error}", key.key_file.display())))
        })
        .collect::<Result<Vec<_>, AppError>>()?;
    Signer::new(&dkim.domain, keys)
        .map(Some)
        .map_err(|error| AppError::Setting(format!("mail.dkim: {error}")))
}

pub(super) fn person(resolved: config::Resolved) -> Person {
    Person {
        id: resolved.id,
        address: resolved.address,
        name: resolved.name,
        schedule: resolved.schedule,
        paused_until: resolved.paused_until,
        shared: resolved.shared,
        keywords: resolved.keywords,
    }
}

fn domain_of(address: &str) -> &str {
    address
        .rsplit_once('@')
        .map_or("localhost.invalid", |(_, domain)| domain)
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
