//! Logging in at the relay: PLAIN, LOGIN or XOAUTH2, once, and never in the clear.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::Auth;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::capabilities::Capabilities;
use super::dialogue::Dialogue;
use super::fault::{Fault, SessionError};
use super::session::{Expected, Session};
use crate::model::Stage;

/// Which mechanism is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthChoice {
    /// PLAIN, else LOGIN, else XOAUTH2, as the relay offers them.
    #[default]
    Auto,
    /// RFC 4616.
    Plain,
    /// The old two-step form that some providers still want.
    Login,
    /// An OAuth 2 access token in place of the password.
    Xoauth2,
}

/// An account at the relay.
#[derive(Clone)]
pub struct Login {
    /// The account's name.
    pub username: String,
    /// Its password, app password or access token.
    pub password: SecretString,
    /// How to log in.
    pub auth: AuthChoice,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// Logs in, with one attempt.
///
/// # Errors
/// When the way is not encrypted and leaves this machine, no mechanism fits, or the relay refuses.
pub async fn log_in(session: &mut Session, login: &Login, dialogue: &mut Dialogue) -> Result<(), SessionError> {
    let at_auth = |fault| SessionError::new(Stage::Auth, fault);
    if !session.may_carry_secrets() {
        return Err(at_auth(Fault::Setting(
            "the password is not sent without encryption: set `mail.tls` to \"starttls\" or \"implicit\"".to_owned(),
        )));
    }
    let mechanism = choose(login.auth, session.offered()).map_err(at_auth)?;
    let password = login.password.expose_secret();
    let credentials = Credentials::new(login.username.clone(), password.to_owned());
    session.hide(password);
    session.hide(&BASE64.encode(password));
    match mechanism {
        Mechanism::Login => log_in_stepwise(session, &credentials, dialogue).await,
        Mechanism::Plain | Mechanism::Xoauth2 => log_in_at_once(session, mechanism, credentials, dialogue).await,
    }
}

/// PLAIN and XOAUTH2 say all in the first line.
async fn log_in_at_once(
    session: &mut Session,
    mechanism: Mechanism,
    credentials: Credentials,
    dialogue: &mut Dialogue,
) -> Result<(), SessionError> {
    let command = Auth::new(mechanism, credentials, None)
        .map_err(|error| SessionError::new(Stage::Auth, Fault::Setting(format!("cannot log in: {error}"))))?
        .to_string();
    if let Some(blob) = command.split_ascii_whitespace().nth(2) {
        session.hide(blob);
    }
    let limit = session.limits().auth;
    let answer = session
        .exchange(Stage::Auth, &command, Expected::Any, limit, dialogue)
        .await?;
    if mechanism == Mechanism::Xoauth2 && answer.is_intermediate() {
        // A refused token is explained in a challenge; the empty line asks for the final reply.
        let refused = session
            .exchange(Stage::Auth, "\r\n", Expected::Done, limit, dialogue)
            .await;
        return refused.map(drop).map_err(explain_token);
    }
    match answer.is_positive() {
        true => Ok(()),
        false => {
            let error = SessionError::new(Stage::Auth, Fault::Refused(answer));
            Err(if mechanism == Mechanism::Xoauth2 {
                explain_token(error)
            } else {
                error
            })
        }
    }
}

/// LOGIN asks for the name, then for the password. Relays differ in how they word the questions, never in their order.
async fn log_in_stepwise(
    session: &mut Session,
    credentials: &Credentials,
    dialogue: &mut Dialogue,
) -> Result<(), SessionError> {
    let limit = session.limits().auth;
    let start = format!("AUTH {}\r\n", Mechanism::Login);
    session
        .exchange(Stage::Auth, &start, Expected::More, limit, dialogue)
        .await?;
    for (question, expected) in [("Username:", Expected::More), ("Password:", Expected::Done)] {
        let answer = Mechanism::Login
            .response(credentials, Some(question))
            .map_err(|error| SessionError::new(Stage::Auth, Fault::Setting(format!("cannot log in: {error}"))))?;
        let line = format!("{}\r\n", BASE64.encode(answer));
        session.exchange(Stage::Auth, &line, expected, limit, dialogue).await?;
    }
    Ok(())
}

/// A relay that takes only tokens refuses every password, so the usual advice would mislead.
fn explain_token(error: SessionError) -> SessionError {
    match error.fault {
        Fault::Refused(reply) if reply.code >= 500 => SessionError::new(
            error.stage,
            Fault::Setting(format!(
                "{reply}; XOAUTH2 takes a current access token, not a password: the provider may have switched \
                 passwords off; renew the token, or look for an app password and another `mail.auth`"
            )),
        ),
        fault => SessionError::new(error.stage, fault),
    }
}

fn choose(choice: AuthChoice, offered: &Capabilities) -> Result<Mechanism, Fault> {
    let acceptable: &[Mechanism] = match choice {
        AuthChoice::Auto => &[Mechanism::Plain, Mechanism::Login, Mechanism::Xoauth2],
        AuthChoice::Plain => &[Mechanism::Plain],
        AuthChoice::Login => &[Mechanism::Login],
        AuthChoice::Xoauth2 => &[Mechanism::Xoauth2],
    };
    acceptable.iter().copied().find(|mechanism| offered.has(*mechanism)).ok_or_else(|| {
        let wanted: Vec<String> = acceptable.iter().map(ToString::to_string).collect();
        let wanted = wanted.join(", ");
        Fault::Setting(match offered.mechanisms.as_slice() {
            [] => format!(
                "the relay offers no login ({wanted} would do): check `mail.tls` and `mail.port`, or remove \
                 `mail.username` if it needs none"
            ),
            mechanisms => format!(
                "the relay offers to log in by {}, not by {wanted}: set `mail.auth`; the provider may have switched \
                 passwords off",
                super::reply::clean(&mechanisms.join(", "))
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mechanism_is_one_that_the_relay_offers() {
        #[track_caller]
        fn check(choice: AuthChoice, offered: &[&str], expected: Result<Mechanism, &str>) {
            let offered = Capabilities {
                mechanisms: offered.iter().map(|name| (*name).to_owned()).collect(),
                ..Capabilities::default()
            };
            match (choose(choice, &offered), expected) {
                (Ok(chosen), Ok(wanted)) => assert_eq!(chosen, wanted),
                (Err(fault), Err(words)) => assert!(fault.to_string().contains(words), "{fault}"),
                (got, wanted) => panic!("{got:?}, not {wanted:?}"),
            }
        }
        check(AuthChoice::Auto, &["LOGIN", "PLAIN", "XOAUTH2"], Ok(Mechanism::Plain));
        check(AuthChoice::Auto, &["XOAUTH2", "LOGIN"], Ok(Mechanism::Login));
        check(AuthChoice::Auto, &["XOAUTH2"], Ok(Mechanism::Xoauth2));
        check(AuthChoice::Xoauth2, &["PLAIN", "XOAUTH2"], Ok(Mechanism::Xoauth2));
        check(AuthChoice::Login, &["PLAIN", "LOGIN"], Ok(Mechanism::Login));
        check(AuthChoice::Auto, &[], Err("offers no login"));
        check(AuthChoice::Auto, &["CRAM-MD5"], Err("offers to log in by CRAM-MD5"));
        check(AuthChoice::Plain, &["XOAUTH2"], Err("may have switched"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let login = Login {
            username: "papers".into(),
            password: SecretString::from("hunter2"),
            auth: AuthChoice::Auto,
        };
        assert_eq!(format!("{login:?}"), "Login { auth: Auto, .. }");
    }
}
