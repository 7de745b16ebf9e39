//! TLS towards the relay: whom to trust, and what a failed handshake means in words.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Deserialize;
use thiserror::Error;
use tokio_rustls::TlsConnector;

use super::fault::Fault;
use super::wire::Duplex;

/// When the dialogue is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// From the first byte (RFC 8314), usually on port 465.
    Implicit,
    /// After STARTTLS, which is required (RFC 3207), usually on port 587.
    Starttls,
    /// Never, usually on port 25. No password is sent then, unless the relay is on this machine.
    None,
}

impl TlsMode {
    /// The port that goes with the mode.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::Starttls => 587,
            Self::None => 25,
        }
    }

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Starttls => "starttls",
            Self::None => "none",
        }
    }
}

/// Why TLS cannot be set up at all.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file with the authorities cannot be read.
    #[error("cannot read the certificates in {} (`mail.ca_file`, PEM)", .path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate that can be used.
    #[error("{} (`mail.ca_file`) holds no usable certificate: it needs at least one in PEM form", .0.display())]
    CaFileEmpty(PathBuf),
    /// The machine's own authorities cannot be used.
    #[error("this machine's trusted certificates cannot be used: install them (ca-certificates) or set `mail.ca_file`")]
    Roots(#[source] rustls::Error),
    /// The host is no name that a certificate can be for.
    #[error("{0:?} (`mail.host`) is neither a host name nor an address")]
    Host(String),
}

/// How to encrypt the way to one relay.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    host: String,
    name: ServerName<'static>,
    ca_file: Option<PathBuf>,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("name", &self.name)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Trusts the authorities in `ca_file` if there is one, else those of the operating system.
    ///
    /// # Errors
    /// When the file or the system's certificates cannot be used, or `host` is no name.
    pub fn new(host: &str, ca_file: Option<PathBuf>) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host(host.to_owned()))?;
        // The provider is named here: a process-wide default would depend on what other crates do first.
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Roots)?;
        let config = match &ca_file {
            Some(path) => builder.with_root_certificates(read_authorities(path)?),
            None => builder.with_platform_verifier().map_err(TlsError::Roots)?,
        }
        .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            host: host.to_owned(),
            name,
            ca_file,
        })
    }

    /// Encrypts `stream`; the second value names the version of TLS.
    ///
    /// # Errors
    /// A [`Fault::Setting`] that says what to change when the certificate is not trusted or the relay does not
    /// speak TLS on this port.
    pub async fn encrypt(
        &self,
        stream: Box<dyn Duplex>,
        mode: TlsMode,
        port: u16,
    ) -> Result<(Box<dyn Duplex>, &'static str), Fault> {
        match self.connector.connect(self.name.clone(), stream).await {
            Ok(stream) => {
                let version = match stream.get_ref().1.protocol_version() {
                    Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                    Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
                    _ => "TLS",
                };
                Ok((Box::new(stream), version))
            }
            Err(error) => Err(self.explain(error, mode, port)),
        }
    }

    fn explain(&self, error: io::Error, mode: TlsMode, port: u16) -> Fault {
        let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof => Fault::Closed,
                _ => Fault::Broken(error),
            };
        };
        let host = &self.host;
        Fault::Setting(match cause {
            rustls::Error::InvalidCertificate(fault) => self.explain_certificate(fault),
            rustls::Error::InvalidMessage(_) => {
                let mend = match mode {
                    TlsMode::Implicit => "set `mail.tls` to \"starttls\" (port 587), or `mail.port` to 465",
                    TlsMode::Starttls | TlsMode::None => "check `mail.tls` and `mail.port`",
                };
                format!("{host} does not speak TLS on port {port}: {mend} ({cause})")
            }
            rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(_) => format!(
                "{host} and this program find no common kind of TLS (1.2 and 1.3 are spoken here); \
                 the relay has to be renewed, or another chosen in `mail.host` ({cause})"
            ),
            other => {
                format!("the TLS handshake with {host} failed: check `mail.host`, `mail.port` and `mail.tls` ({other})")
            }
        })
    }

    fn explain_certificate(&self, fault: &CertificateError) -> String {
        let host = &self.host;
        match fault {
            // A bad signature: another authority of the same name, such as one that was made anew.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => match &self.ca_file {
                Some(path) => format!(
                    "the certificate of {host} is not signed by an authority in {} (`mail.ca_file`)",
                    path.display()
                ),
                None => format!(
                    "the certificate of {host} is signed by an authority that this machine does not know: \
                     set `mail.ca_file` to that authority's PEM file if the relay is yours"
                ),
            },
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate is not for {host}: set `mail.host` to the name it is for ({fault})")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
                "the certificate of {host} has expired: the relay's operator has to renew it \
                 (or this machine's clock is wrong) ({fault})"
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet: check this machine's clock ({fault})")
            }
            other => format!(
                "the certificate of {host} cannot be trusted: the relay's operator has to replace it, or set \
                 `mail.ca_file` to the authority that signed it ({other})"
            ),
        }
    }
}

fn read_authorities(path: &PathBuf) -> Result<RootCertStore, TlsError> {
    let unreadable = |source| TlsError::CaFile {
        path: path.clone(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        // A bundle may hold one certificate that rustls cannot read; the others still count.
        roots.add_parsable_certificates([certificate.map_err(unreadable)?]);
    }
    if roots.is_empty() {
        return Err(TlsError::CaFileEmpty(path.clone()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_certificates_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let absent = TlsClient::new("relay.example.org", Some(path.clone())).unwrap_err();
        assert!(absent.to_string().contains("ca.pem"), "{absent}");
        std::fs::write(&path, "no certificate here\n").unwrap();
        let empty = TlsClient::new("relay.example.org", Some(path)).unwrap_err();
        assert!(empty.to_string().contains("holds no usable certificate"), "{empty}");
    }

    #[test]
    fn the_port_goes_with_the_mode() {
        for (mode, port) in [(TlsMode::Implicit, 465), (TlsMode::Starttls, 587), (TlsMode::None, 25)] {
            assert_eq!(mode.default_port(), port, "{}", mode.name());
        }
    }
}
