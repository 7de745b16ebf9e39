//! What a good page keeps to: the HTML part, and the text part beside it.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::UnicodeWidthStr as _;

use super::{
    checks::{Verdict, expect},
    corpus::{DOMAIN, Mail},
    html::{self, Piece},
};

pub(super) fn allowed_markup(mail: &Mail) -> Verdict {
    const TAGS: [&str; 21] = [
        "html", "head", "meta", "title", "style", "body", "table", "tr", "td", "h1", "h2", "h3", "p", "a", "b", "span",
        "sup", "sub", "em", "code", "br",
    ];
    const ATTRIBUTES: [&str; 10] = [
        "lang",
        "dir",
        "charset",
        "name",
        "content",
        "role",
        "class",
        "style",
        "href",
        "aria-label",
    ];
    const PROPERTIES: [&str; 22] = [
        "color",
        "background-color",
        "font",
        "font-size",
        "font-weight",
        "line-height",
        "margin",
        "padding",
        "border-top",
        "border-radius",
        "border-collapse",
        "border-spacing",
        "width",
        "max-width",
        "text-align",
        "text-decoration",
        "vertical-align",
        "white-space",
        "word-break",
        "font-style",
        "font-family",
        "border-color",
    ];
    let (_, page) = mail.parts();
    for tag in html::tags(&page)? {
        expect(TAGS.contains(&tag.name.as_str()), || format!("<{}>", tag.name))?;
        for (key, _) in &tag.attributes {
            expect(ATTRIBUTES.contains(&key.as_str()), || {
                format!("{key} on <{}>", tag.name)
            })?;
        }
        for (property, value) in tag.declarations() {
            expect(PROPERTIES.contains(&property.as_str()), || {
                format!("{property} on <{}>", tag.name)
            })?;
            // Gmail drops the whole attribute over colours written otherwise than in hexadecimal.
            let is_plain = !["(", "@", "!", "calc", "-0", ":-"]
                .iter()
                .any(|bad| value.contains(bad));
            expect(is_plain, || format!("{property}:{value}"))?;
            // Outlook pads cells only.
            let pads = property == "padding" && !["td", "body", "span", "b"].contains(&tag.name.as_str());
            expect(!pads, || format!("padding on <{}>", tag.name))?;
        }
    }
    let style = page
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"))
        .map_or("", |(style, _)| style);
    expect(
        !["var(", "@import", "@font-face", "url(", "flex", "grid"]
            .iter()
            .any(|bad| style.contains(bad)),
        || style.to_owned(),
    )
}

pub(super) fn nothing_remote(mail: &Mail) -> Verdict {
    let (_, page) = mail.parts();
    for tag in html::tags(&page)? {
        let loads = [
            "img", "link", "script", "iframe", "object", "video", "audio", "source", "input",
        ];
        expect(!loads.contains(&tag.name.as_str()), || format!("<{}>", tag.name))?;
        for (key, value) in &tag.attributes {
            expect(
                !["src", "srcset", "background", "poster", "ping"].contains(&key.as_str()),
                || key.clone(),
            )?;
            expect(key != "style" || !value.contains("url("), || value.clone())?;
        }
        if let Some(href) = tag.attribute("href") {
            expect(may_be_linked(href), || format!("a link to {href}"))?;
        }
    }
    Ok(())
}

fn may_be_linked(href: &str) -> bool {
    let unreserved = |path: &str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b));
    if let Some(address) = href.strip_prefix("mailto:") {
        return address.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>".contains(&b));
    }
    let Some((host, path)) = href
        .strip_prefix("https://")
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return false;
    };
    match host {
        "arxiv.org" => ["abs/", "pdf/", "html/"].iter().any(|kind| {
            path.strip_prefix(kind)
                .is_some_and(|id| id.parse::<paperround::model::ArxivId>().is_ok())
        }),
        "doi.org" => path.starts_with("10.") && path.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>&".contains(&b)),
        "github.com" | "gitlab.com" | "codeberg.org" | "huggingface.co" | "zenodo.org" => unreserved(path),
        // The part about pausing is named in the address.
        "papers.example.org" => unreserved(path.strip_suffix("#pause").unwrap_or(path)),
        _ => false,
    }
}

pub(super) fn nothing_hidden(mail: &Mail) -> Verdict {
    let (_, page) = mail.parts();
    let mut first = None;
    for piece in html::pieces(&page)? {
        match piece {
            Piece::Open(tag) => {
                let own = tag.declarations();
                let is = |property: &str, value: &str| own.get(property).is_some_and(|own| own == value);
                let hides = own.contains_key("display")
                    || own.contains_key("visibility")
                    || own.contains_key("opacity")
                    || is("font-size", "0")
                    || is("font-size", "0px")
                    || (is("line-height", "0") && !["sup", "sub"].contains(&tag.name.as_str()))
                    || is("width", "0")
                    || tag.attribute("hidden").is_some();
                expect(!hides, || format!("<{} {:?}>", tag.name, tag.attributes))?;
            }
            Piece::Text(text, style) if !["title", "style"].contains(&style.element.as_str()) => {
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                expect(text.is_empty() || style.colour != style.ground, || {
                    format!("{text:?} has the colour of its ground")
                })?;
                if !text.is_empty() && first.is_none() {
                    first = Some(text);
                }
            }
            Piece::Text(..) | Piece::Close(_) => {}
        }
    }
    // The line that a mailbox shows beside the subject.
    let first = first.ok_or("nothing is visible")?;
    let text = mail.parts().0.split_whitespace().collect::<Vec<_>>().join(" ");
    expect(
        (10..=120).contains(&first.chars().count()) && text.starts_with(&first),
        || format!("the first visible line is {first:?}"),
    )
}

pub(super) fn contrast(mail: &Mail) -> Verdict {
    const RATIO_MIN: f64 = 4.5;
    const SIZE_PX_MIN: u32 = 14;
    let (_, page) = mail.parts();
    for piece in html::pieces(&page)? {
        match piece {
            Piece::Text(text, style)
                if !text.trim().is_empty() && !["title", "style"].contains(&style.element.as_str()) =>
            {
                let is_script = ["sup", "sub"].contains(&style.element.as_str());
                expect(
                    is_script || style.size_px.is_some_and(|size| size >= SIZE_PX_MIN),
                    || format!("{text:?} is {:?} pixels high", style.size_px),
                )?;
                for (colour, ground) in [(&style.colour, &style.ground), (&style.dark_colour, &style.dark_ground)] {
                    let ratio = ratio(colour, ground).ok_or_else(|| format!("{text:?}: {colour} on {ground}"))?;
                    expect(ratio >= RATIO_MIN, || {
                        format!("{text:?}: {colour} on {ground} is {ratio:.2}")
                    })?;
                }
            }
            Piece::Open(tag) if tag.name == "a" => {
                let own = tag.declarations();
                let is_underlined = own.get("text-decoration").is_some_and(|value| value == "underline");
                expect(is_underlined, || {
                    format!("a link without underline: {:?}", tag.attributes)
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn ratio(a: &str, b: &str) -> Option<f64> {
    let luminance = |colour: &str| -> Option<f64> {
        let channel = |at: usize| -> Option<f64> {
            let value = f64::from(u8::from_str_radix(colour.get(at..at + 2)?, 16).ok()?) / 255.0;
            Some(if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            })
        };
        Some(0.2126 * channel(1)? + 0.7152 * channel(3)? + 0.0722 * channel(5)?)
    };
    let (a, b) = (luminance(a)?, luminance(b)?);
    Some((a.max(b) + 0.05) / (a.min(b) + 0.05))
}

pub(super) fn structure(mail: &Mail) -> Verdict {
    let (text, page) = mail.parts();
    let tags = html::tags(&page)?;
    let root = tags.first().ok_or("no tag")?;
    let names_language = root.attribute("lang").is_some() && root.attribute("dir").is_some();
    expect(root.name == "html" && names_language, || "no lang or dir".to_owned())?;
    let levels: Vec<u32> = tags
        .iter()
        .filter_map(|tag| tag.name.strip_prefix('h')?.parse().ok())
        .collect();
    expect(levels.iter().filter(|level| **level == 1).count() == 1, || {
        "not one h1".to_owned()
    })?;
    expect(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), || {
        format!("{levels:?}")
    })?;
    let tables = tags.iter().filter(|tag| tag.name == "table");
    for table in tables {
        expect(table.attribute("role") == Some("presentation"), || {
            "a table without its role".to_owned()
        })?;
    }
    // A link is called the same only where it leads to the same.
    let mut leads: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut open, mut name) = (None, String::new());
    for piece in html::pieces(&page)? {
        match piece {
            Piece::Open(tag) if tag.name == "a" => {
                name = tag.attribute("aria-label").unwrap_or_default().to_owned();
                open = Some((tag.attribute("href").unwrap_or_default().to_owned(), name.is_empty()));
            }
            Piece::Text(words, _) => {
                if let Some((_, true)) = &open {
                    name.push_str(&words);
                }
            }
            Piece::Close(tag) if tag == "a" => {
                let (href, _) = open.take().unwrap_or_default();
                expect(!name.trim().is_empty(), || format!("the link to {href} has no name"))?;
                expect(
                    !["here", "click here", "more"].contains(&name.trim().to_lowercase().as_str()),
                    || name.clone(),
                )?;
                leads.entry(name.trim().to_owned()).or_default().insert(href);
            }
            _ => {}
        }
    }
    if let Some((name, hrefs)) = leads.iter().find(|(_, hrefs)| hrefs.len() > 1) {
        return Err(format!("{name:?} leads to {hrefs:?}"));
    }
    // In linear order, as a text browser reads it, the sentences follow each other as in the text part.
    let seen = html::visible(&page)?;
    let mut from = 0;
    for line in text.lines().filter(|line| line.starts_with("# ")) {
        let name = line.trim_start_matches("# ").split(" (").next().unwrap_or_default();
        let at = seen[from..]
            .find(name)
            .ok_or_else(|| format!("{name:?} is not in linear order"))?;
        from += at;
    }
    Ok(())
}

pub(super) fn both_parts_agree(mail: &Mail) -> Verdict {
    let (text, page) = mail.parts();
    let hrefs: Vec<String> = html::tags(&page)?
        .iter()
        .filter_map(|tag| tag.attribute("href").map(str::to_owned))
        .collect();
    let links: Vec<String> = text
        .split('<')
        .filter(|part| part.starts_with("https://") || part.starts_with("mailto:"))
        .filter_map(|part| Some(part.split_once('>')?.0.to_owned()))
        .collect();
    if let Some(at) = (0..hrefs.len().max(links.len())).find(|at| hrefs.get(*at) != links.get(*at)) {
        return Err(format!("link {at}: {:?} and {:?}", hrefs.get(at), links.get(at)));
    }
    let leave = if mail.is_on_the_web {
        format!("https://papers.{DOMAIN}/u/")
    } else {
        "mailto:leave+".to_owned()
    };
    expect(links.iter().any(|link| link.starts_with(&leave)), || {
        "no way to leave".to_owned()
    })?;
    if let Some(line) = text
        .lines()
        .find(|line| line.width() > 72 && !line.contains("<https://") && !line.contains("<mailto:"))
    {
        return Err(format!("{} columns: {line}", line.width()));
    }
    Ok(())
}

pub(super) fn tex_is_whole_or_gone(mail: &Mail) -> Verdict {
    let (text, _) = mail.parts();
    let sources = mail.sources.replace(char::is_whitespace, "");
    for word in text.split_whitespace().filter(|word| word.contains('\\')) {
        // What could not be converted stands as its author wrote it, to the letter.
        let is_whole = sources.contains(word.trim_matches(['(', ')', ',', '.', '…']));
        expect(is_whole, || format!("half-converted: {word}"))?;
    }
    let bad = ["łog", "²^", "^/³", "\\textbf", "\\emph{"];
    match bad
        .iter()
        .find(|bad| text.contains(**bad) && !mail.sources.contains(**bad))
    {
        Some(bad) => Err(format!("{bad:?} in the text part")),
        None => Ok(()),
    }
}
