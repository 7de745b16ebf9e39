//! What a POST asks for, in both encodings that mail programs send (RFC 8058, 3.1).

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Stop the mails: a mail program's one click, or the button.
    Leave,
    /// Take that back.
    Undo,
    /// Pause for a week.
    PauseWeek,
    /// Pause for a month.
    PauseMonth,
    /// End the pause.
    Resume,
}

impl Action {
    /// The value of the button.
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Undo => "undo",
            Self::PauseWeek => "pause-week",
            Self::PauseMonth => "pause-month",
            Self::Resume => "resume",
        }
    }

    fn read(name: &str, value: &str) -> Option<Self> {
        match name {
            "List-Unsubscribe" => (value == "One-Click").then_some(Self::Leave),
            "action" => [Self::Leave, Self::Undo, Self::PauseWeek, Self::PauseMonth, Self::Resume]
                .into_iter()
                .find(|action| action.value() == value),
            _ => None,
        }
    }
}

/// Reads the body of a POST. No name or value of ours needs an escape, so nothing is unescaped. `None` where nothing is asked for.
pub(super) fn read(content_type: &str, body: &[u8]) -> Option<Action> {
    let body = str::from_utf8(body).ok()?;
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => urlencoded(body),
        "multipart/form-data" => multipart(boundary(parameters)?, body),
        _ => None,
    }
}

fn urlencoded(body: &str) -> Option<Action> {
    body.trim_end_matches(['\r', '\n']).split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Action::read(name, value)
    })
}

/// The boundary among the parameters of the content type, perhaps in quotes (RFC 2046, 5.1.1).
fn boundary(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then_some(value)
    })
}

/// Each part has a head with its name, an empty line and the value (RFC 7578).
fn multipart(boundary: &str, body: &str) -> Option<Action> {
    let delimiter = format!("--{boundary}");
    body.split(delimiter.as_str()).skip(1).find_map(|part| {
        let (head, value) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"))?;
        let name = head.lines().find_map(|line| {
            let (field, rest) = line.split_once(':')?;
            field
                .eq_ignore_ascii_case("content-disposition")
                .then(|| parameter(rest, "name"))?
        })?;
        Action::read(name, value.trim_end_matches(['\r', '\n']))
    })
}

fn parameter<'t>(disposition: &'t str, wanted: &str) -> Option<&'t str> {
    disposition.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_click_is_read_in_both_encodings_and_nothing_else_counts() {
        let check = |content_type: &str, body: &str, expected: Option<Action>| {
            assert_eq!(read(content_type, body.as_bytes()), expected, "{content_type}: {body}");
        };
        let urlencoded = "application/x-www-form-urlencoded";
        check(urlencoded, "List-Unsubscribe=One-Click", Some(Action::Leave));
        check(
            "Application/X-WWW-Form-Urlencoded; charset=utf-8",
            "x=1&List-Unsubscribe=One-Click\r\n",
            Some(Action::Leave),
        );
        check(urlencoded, "action=pause-week", Some(Action::PauseWeek));
        check(urlencoded, "action=undo", Some(Action::Undo));
        check(urlencoded, "List-Unsubscribe=one-click", None);
        check(urlencoded, "List-Unsubscribe", None);
        check(urlencoded, "action=", None);
        check(urlencoded, "", None);
        check("text/plain", "List-Unsubscribe=One-Click", None);
        check("", "List-Unsubscribe=One-Click", None);
        let part = |name: &str, value: &str| {
            format!("--X y\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n--X y--\r\n")
        };
        let multipart = "multipart/form-data; boundary=\"X y\"";
        check(
            multipart,
            &part("\"List-Unsubscribe\"", "One-Click"),
            Some(Action::Leave),
        );
        check(multipart, &part("List-Unsubscribe", "One-Click"), Some(Action::Leave));
        check(multipart, &part("\"List-Unsubscribe\"", "Two-Click"), None);
        check(multipart, &part("\"other\"", "One-Click"), None);
        check("multipart/form-data", &part("\"List-Unsubscribe\"", "One-Click"), None);
        check(
            "multipart/form-data; boundary=Z",
            &part("\"List-Unsubscribe\"", "One-Click"),
            None,
        );
        check(multipart, "--X y", None);
        assert_eq!(read(urlencoded, &[0xff, 0xfe]), None);
    }
}
