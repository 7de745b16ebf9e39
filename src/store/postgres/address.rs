//! The address of a database: libpq's URL, with `sslmode` read more strictly than libpq does.

use std::{net::IpAddr, path::PathBuf, str::FromStr as _};

use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::config::{Config, Host, SslMode};

/// Where a database is and how it is reached. Showing it never shows a password.
#[derive(Clone)]
pub struct Address {
    config: Config,
    tls: Tls,
    /// `sslrootcert` of the URL.
    ca_file: Option<PathBuf>,
}

/// Whether the way to the database is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Encrypted, and the certificate is for the host and from a trusted authority.
    Verified,
    /// Not encrypted.
    None,
}

impl Address {
    /// Reads a URL such as `postgres://paperround@db.example.org/paperround?sslmode=verify-full`.
    ///
    /// `sslmode` is `verify-full` or `require`, which both verify the certificate, or `disable`. Without it the way is
    /// encrypted unless every host is this machine. The other modes of libpq are refused: they look like protection
    /// and are none against somebody in between.
    ///
    /// # Errors
    /// What is wrong with it and how to mend it. The URL is not repeated, since it may hold a password.
    pub fn parse(url: &str) -> Result<Self, (String, &'static str)> {
        const EXAMPLE: &str = "write \"postgres://paperround@db.example.org/paperround\"";
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(("is not the address of a PostgreSQL database".to_owned(), EXAMPLE));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut ca_file, mut rest) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => ca_file = Some(PathBuf::from(value)),
                _ => rest.push(parameter),
            }
        }
        let separator = if rest.is_empty() { "" } else { "?" };
        let mut config = Config::from_str(&format!("{base}{separator}{}", rest.join("&"))).map_err(|error| {
            // The library's text names the parameter, never its value.
            let why = std::error::Error::source(&error).map_or_else(String::new, |source| format!(" ({source})"));
            (format!("cannot be read{why}"), EXAMPLE)
        })?;
        if config.get_hosts().is_empty() {
            return Err(("names no host".to_owned(), EXAMPLE));
        }
        if config.get_user().is_none() {
            return Err(("names no user".to_owned(), EXAMPLE));
        }
        let tls = match mode {
            Some("verify-full" | "require") => Tls::Verified,
            Some("disable") => Tls::None,
            Some("allow" | "prefer") => {
                return Err((
                    "has an sslmode that protects against nobody in between".to_owned(),
                    "write sslmode=verify-full, or sslmode=disable if that is what you mean",
                ));
            }
            Some("verify-ca") => {
                return Err((
                    "has sslmode=verify-ca, which does not check the host's name".to_owned(),
                    "write sslmode=verify-full",
                ));
            }
            Some(_) => {
                return Err((
                    "has an unknown sslmode".to_owned(),
                    "write sslmode=verify-full, or sslmode=disable",
                ));
            }
            None if config.get_hosts().iter().all(is_this_machine) => Tls::None,
            None => Tls::Verified,
        };
        config.ssl_mode(match tls {
            Tls::Verified => SslMode::Require,
            Tls::None => SslMode::Disable,
        });
        Ok(Self { config, tls, ca_file })
    }

    /// The password, where it is not in the URL.
    pub fn set_password(&mut self, password: &SecretString) {
        self.config.password(password.expose_secret());
    }

    /// Whether there is a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether the way is encrypted.
    pub fn tls(&self) -> Tls {
        self.tls
    }

    /// Whether what goes to the database passes a network without protection.
    pub fn is_exposed(&self) -> bool {
        self.tls == Tls::None && !self.config.get_hosts().iter().all(is_this_machine)
    }

    /// The file with the authorities to trust, where the URL names one.
    pub fn ca_file(&self) -> Option<&PathBuf> {
        self.ca_file.as_ref()
    }

    /// The address in the library's form.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl std::fmt::Display for Address {
    /// `PostgreSQL at db.example.org:5432/paperround`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgreSQL at ")?;
        let ports = self.config.get_ports();
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                Host::Unix(folder) => write!(f, "{}", folder.display())?,
            }
            // One port stands for all hosts.
            if let Some(port) = ports.get(n).or_else(|| ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        let database = self.config.get_dbname().or_else(|| self.config.get_user());
        write!(f, "/{}", database.unwrap_or_default())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({self})")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config && self.tls == other.tls && self.ca_file == other.ca_file
    }
}

/// Whether the host is a socket or a loopback address (RFC 6761, 6.3).
fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => match name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_their_password() {
        let check = |url: &str, shown: &str, tls: Tls| {
            let address = Address::parse(url).unwrap();
            assert_eq!((format!("{address}").as_str(), address.tls()), (shown, tls), "{url}");
            assert!(!format!("{address:?}").contains("hunter2"));
        };
        check(
            "postgres://p:hunter2@db.example.org/pr",
            "PostgreSQL at db.example.org:5432/pr",
            Tls::Verified,
        );
        check(
            "postgresql://p@a,b:6000/pr?sslmode=require&target_session_attrs=read-write",
            "PostgreSQL at a:5432,b:6000/pr",
            Tls::Verified,
        );
        check(
            "postgres://p@localhost:6543",
            "PostgreSQL at localhost:6543/p",
            Tls::None,
        );
        check(
            "postgres://p@127.0.0.1/pr?sslmode=verify-full&sslrootcert=ca.pem",
            "PostgreSQL at 127.0.0.1:5432/pr",
            Tls::Verified,
        );
        check(
            "postgres://p@%2Frun%2Fpostgresql/pr",
            "PostgreSQL at /run/postgresql:5432/pr",
            Tls::None,
        );
        check(
            "postgres://p@db.example.org/pr?sslmode=disable",
            "PostgreSQL at db.example.org:5432/pr",
            Tls::None,
        );
    }

    #[test]
    fn what_looks_like_protection_and_is_none_is_refused() {
        let check = |url: &str, expected: &str| {
            let (what, _) = Address::parse(url).unwrap_err();
            assert!(what.contains(expected) && !what.contains("hunter2"), "{url}: {what}");
        };
        for mode in ["prefer", "allow"] {
            check(
                &format!("postgres://p:hunter2@db/pr?sslmode={mode}"),
                "protects against",
            );
        }
        check("postgres://p:hunter2@db/pr?sslmode=verify-ca", "host's name");
        check("postgres://p:hunter2@db/pr?sslmode=yes", "unknown sslmode");
        check("postgres://p:hunter2@db:port/pr", "cannot be read");
        check("postgres://p:hunter2@db/pr?nonsense=hunter2", "cannot be read");
        check("mysql://p:hunter2@db/pr", "is not the address");
        check("postgres:///pr", "names no");
        assert!(
            Address::parse("postgres://p@db/pr?sslmode=disable")
                .unwrap()
                .is_exposed()
        );
        assert!(!Address::parse("postgres://p@localhost/pr").unwrap().is_exposed());
    }
}
