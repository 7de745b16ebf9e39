//! What was received, made ready to be looked at: each mail's parts as files of their own, and a page that opens them.

use std::path::Path;

use mail_parser::MessageParser;
use minijinja::{Environment, context, value::Serde};
use serde::Serialize;

use super::{
    folder::{Folder, FolderError},
    receiver::Received,
    sample::Sample,
};

/// One simulated day.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Day {
    /// `Wednesday, 11 February 2026`.
    pub name: String,
    /// The announcement that came before it: `Tuesday, 10 February`.
    pub announcement: String,
    /// What the run did, in words.
    pub account: String,
    /// The mails that were accepted.
    pub mails: Vec<Mail>,
}

/// One received mail. Paths are as the page links them: relative, with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Mail {
    pub recipient: String,
    pub subject: String,
    /// The message as it came.
    pub eml: String,
    /// Its HTML part.
    pub html: String,
    /// Its text part.
    pub text: String,
    /// The identifiers of the sample papers that it shows.
    pub papers: Vec<String>,
}

/// Why a mail or the page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// What was received is no mail.
    #[error("{0} cannot be read as a mail with a text and an HTML part")]
    Unreadable(String),
    /// The page's template is wrong.
    #[error("the index page cannot be made")]
    Template(#[from] minijinja::Error),
    /// A file cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Reads a received mail and writes its two parts beside it.
///
/// # Errors
/// If it has not both parts, or they cannot be written.
pub(super) fn unpack(folder: &Folder, received: &Received, samples: &[Sample]) -> Result<Mail, IndexError> {
    let unreadable = || IndexError::Unreadable(received.path.display().to_string());
    let message = MessageParser::default().parse(&received.bytes).ok_or_else(unreadable)?;
    if message.html_body.is_empty() || message.text_body.is_empty() || message.html_body == message.text_body {
        return Err(unreadable());
    }
    let html = message.body_html(0).ok_or_else(unreadable)?;
    let text = message.body_text(0).ok_or_else(unreadable)?;
    let write = |extension: &str, content: &str| {
        let path = received.path.with_extension(extension);
        folder.write(&path, content).map(|()| folder.link(&path))
    };
    Ok(Mail {
        recipient: received.recipient.clone(),
        subject: message.subject().unwrap_or("(no subject)").to_owned(),
        eml: folder.link(&received.path),
        html: write("html", &html)?,
        text: write("txt", &text)?,
        papers: samples
            .iter()
            .map(|sample| sample.entry.id.clone())
            .filter(|id| html.contains(id.as_str()))
            .collect(),
    })
}

/// The page.
///
/// # Errors
/// Only if its template is wrong.
pub(super) fn page(days: &[Day], config: &Path, n_papers: usize) -> Result<String, IndexError> {
    let mut environment = Environment::new();
    // The name's ending switches escaping on.
    environment.add_template("index.html", include_str!("index.html.j2"))?;
    let n_mails: usize = days.iter().map(|day| day.mails.len()).sum();
    let config = config.file_name().unwrap_or_default().to_string_lossy();
    Ok(environment
        .get_template("index.html")?
        .render(context! { days => Serde(days), n_mails, n_papers, config })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::sample;

    const MAIL: &str = "Subject: =?utf-8?q?2_papers_on_=C3=A9?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain <1>\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        <p><a href=3D\"https://arxiv.org/abs/2602.90201\">a</a> <a href=3D\"https://arx=\r\niv.org/abs/2602.90102v1\">b</a>\r\n\
        --b--\r\n";

    fn received(root: &Path, bytes: &str) -> Received {
        Received {
            recipient: "<b>@example.org".to_owned(),
            path: root.join("mails/2026-02-11/b@example.org.eml"),
            bytes: bytes.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_mail_is_unpacked_beside_itself() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::fresh(root.path()).unwrap();
        let root = root.path().canonicalize().unwrap();
        let mail = unpack(&folder, &received(&root, MAIL), &sample::papers()).unwrap();
        assert_eq!(mail.subject, "2 papers on é");
        assert_eq!(mail.papers, ["2602.90102", "2602.90201"]);
        assert_eq!(mail.html, "mails/2026-02-11/b@example.org.html");
        assert!(
            std::fs::read_to_string(root.join(&mail.html))
                .unwrap()
                .contains("abs/2602.90102v1")
        );
        assert_eq!(
            std::fs::read_to_string(root.join(&mail.text)).unwrap().trim(),
            "plain <1>"
        );
    }

    #[test]
    fn a_mail_without_both_parts_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::fresh(root.path()).unwrap();
        for bytes in [
            "Subject: x\r\n\r\nonly text\r\n",
            "",
            "Content-Type: text/html\r\n\r\n<p>only HTML\r\n",
        ] {
            let result = unpack(&folder, &received(root.path(), bytes), &[]);
            assert!(matches!(result, Err(IndexError::Unreadable(_))), "{bytes:?}");
        }
    }

    #[test]
    fn the_page_links_every_form_of_every_mail_and_escapes_what_it_shows() {
        let mail = Mail {
            recipient: "<b>@example.org".to_owned(),
            subject: "1 paper & more".to_owned(),
            eml: "mails/a.eml".to_owned(),
            html: "mails/a.html".to_owned(),
            text: "mails/a.txt".to_owned(),
            papers: vec!["2602.90102".to_owned()],
        };
        let day = |mails: Vec<Mail>| Day {
            name: "Wednesday".to_owned(),
            announcement: "Tuesday".to_owned(),
            account: "20 fetched".to_owned(),
            mails,
        };
        let page = page(&[day(vec![mail]), day(vec![])], Path::new("/x/config.toml"), 40).unwrap();
        for part in [
            "href=\"mails&#x2f;a.eml\"",
            "href=\"mails&#x2f;a.html\"",
            "href=\"mails&#x2f;a.txt\"",
            "href=\"config.toml\"",
            "&lt;b&gt;@example.org · 1 paper<",
            "1 paper &amp; more",
            "No mail on this day",
            "1 mails on 2 days",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<b>"));
    }
}
