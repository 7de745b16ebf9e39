//! Feeds as a row of entries: what the Atom, RSS and OAI-PMH readers share.
//!
//! A document is walked as a stream. Every entry (`entry`, `item`, `record`) is handed over as a small
//! tree of its own; an entry that is ill-formed is mended or reported alone, and the walk goes on at
//! the next one. The document itself must be whole: quick-xml takes an end of input inside open
//! elements for a good end, so the walk counts them.

use std::{borrow::Cow, ops::Range};

use quick_xml::{
    NsReader,
    escape::resolve_xml_entity,
    events::{BytesStart, Event},
    name::{Namespace, ResolveResult},
};

use super::fields;
use crate::model::VersionedId;

/// The largest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// The most entries in one document: arXiv documents at most 30,000 results per request.
pub const ENTRIES_MAX: usize = 30_000;
/// The deepest nesting inside one entry, and of the parts around the entries.
pub const DEPTH_MAX: usize = 64;
/// The most elements kept of one entry; 5,000 authors with several affiliations each fit.
const ELEMENTS_MAX: usize = 40_000;
/// The longest text kept of one element, in bytes; the author line of a large collaboration fits.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The most attributes of one element that are looked at.
const ATTRIBUTES_MAX: usize = 32;
/// How much of the parser's own words a rejection shows, in bytes.
const WHY_BYTES_MAX: usize = 200;
/// How much of a strange answer an error shows, in characters.
const BEGINNING_CHARS: usize = 80;

/// Why an answer is not a whole feed. None of it counts, and none of it says that there are no papers.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// There is nothing in the body.
    #[error("the answer is empty; it does not mean that there are no papers, ask again later")]
    Empty,
    /// The body exceeds [`BODY_BYTES_MAX`].
    #[error("the answer has {bytes} bytes, more than {BODY_BYTES_MAX}; ask for smaller pages")]
    TooLarge {
        /// The size of the body.
        bytes: usize,
    },
    /// The body is not UTF-8, whatever it declares.
    #[error("the answer is not UTF-8 (byte {position}); ask again later")]
    NotUtf8 {
        /// The offset of the first byte that is not.
        position: usize,
    },
    /// A page for people, as proxies and overloaded servers send.
    #[error("the answer is a web page, not a feed: {beginning:?}; ask again later")]
    Html {
        /// Its first words.
        beginning: String,
    },
    /// Plain text, such as `Rate exceeded.`
    #[error("the answer is text, not a feed: {beginning:?}; ask again later")]
    NotXml {
        /// Its first words.
        beginning: String,
    },
    /// XML of another kind.
    #[error("the answer is XML with the root {root:?}, expected {expected}; check the address")]
    NotAFeed {
        /// The root element's name.
        root: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// A document type declaration: arXiv sends none, and entities can be made to explode.
    #[error("the answer declares a document type, which arXiv never does; check what answers at the address")]
    DocType,
    /// Elements around the entries are nested deeper than [`DEPTH_MAX`].
    #[error("the answer nests elements more than {DEPTH_MAX} deep, which arXiv never does")]
    TooDeep,
    /// There are more than [`ENTRIES_MAX`] entries.
    #[error("the answer has more than {ENTRIES_MAX} entries; ask for smaller pages")]
    TooManyEntries,
    /// The input ends before the document does.
    #[error("the answer is cut off after {bytes} bytes; ask again")]
    Truncated {
        /// The size of what came.
        bytes: usize,
    },
    /// The parts around the entries are ill-formed.
    #[error("the answer is ill-formed at byte {position}; ask again")]
    Malformed {
        /// Where reading failed.
        position: usize,
        /// What was wrong there, if the parser said so.
        source: Option<quick_xml::Error>,
    },
    /// arXiv answered with an error in the form of a feed.
    #[error("arXiv refused the request: {summary}")]
    ApiError {
        /// arXiv's own words.
        summary: String,
    },
}

/// An entry that could not be used, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The identifier, as far as it could be made out.
    pub id: Option<String>,
    /// Why, in words.
    pub why: String,
}

/// An entry that was used although something in it was wrong, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The entry's identifier.
    pub id: String,
    /// What was wrong and what was done about it.
    pub how: &'static str,
}

/// The vocabularies that arXiv's feeds use, told apart by namespace and never by prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    None,
    Atom,
    OpenSearch,
    ArxivAtom,
    Oai,
    OaiRaw,
    OaiArxiv,
    DublinCore,
    Rss1,
    Rdf,
    Other,
}

impl Space {
    fn of(resolved: &ResolveResult<'_>) -> Self {
        let ResolveResult::Bound(Namespace(uri)) = resolved else {
            return match resolved {
                ResolveResult::Unbound => Self::None,
                _ => Self::Other,
            };
        };
        match *uri {
            "http://www.w3.org/2005/Atom" => Self::Atom,
            "http://a9.com/-/spec/opensearch/1.1/" => Self::OpenSearch,
            "http://arxiv.org/schemas/atom" => Self::ArxivAtom,
            "http://www.openarchives.org/OAI/2.0/" => Self::Oai,
            "http://arxiv.org/OAI/arXivRaw/" => Self::OaiRaw,
            "http://arxiv.org/OAI/arXiv/" => Self::OaiArxiv,
            "http://purl.org/dc/elements/1.1/" => Self::DublinCore,
            "http://purl.org/rss/1.0/" => Self::Rss1,
            "http://www.w3.org/1999/02/22-rdf-syntax-ns#" => Self::Rdf,
            _ => Self::Other,
        }
    }
}

/// One element of an entry. It borrows from the document what stands there as it is read.
#[derive(Debug)]
pub(super) struct Element<'x> {
    pub(super) space: Space,
    start: BytesStart<'x>,
    /// Character data with references resolved; for a field of prose also that of the mark-up inside it. White space
    /// that nothing else precedes may be missing.
    pub(super) text: Cow<'x, str>,
    pub(super) children: Vec<Self>,
}

impl<'x> Element<'x> {
    fn new(space: Space, start: BytesStart<'x>) -> Self {
        Self {
            space,
            start,
            text: Cow::Borrowed(""),
            children: Vec::new(),
        }
    }

    fn into_owned(self) -> Element<'static> {
        Element {
            space: self.space,
            start: self.start.into_owned(),
            text: Cow::Owned(self.text.into_owned()),
            children: self.children.into_iter().map(Self::into_owned).collect(),
        }
    }

    /// Without its prefix.
    pub(super) fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }

    pub(super) fn is(&self, space: Space, name: &str) -> bool {
        self.space == space && self.name() == name
    }

    pub(super) fn child(&self, space: Space, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(space, name))
    }

    pub(super) fn all<'e>(&'e self, space: Space, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.is(space, name))
    }

    /// The text of the first such child; empty where there is none.
    pub(super) fn text_of(&self, space: Space, name: &str) -> &str {
        self.child(space, name).map_or("", |child| &child.text)
    }

    /// The value of the first such attribute that can be read: a broken one costs itself only.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut attributes = self.start.attributes();
        attributes
            .with_checks(false)
            .flatten()
            .take(ATTRIBUTES_MAX)
            .filter(|attribute| attribute.key.local_name().as_ref() == name)
            .find_map(|attribute| attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok())
    }
}

/// What the walk hands over.
pub(super) enum Part<'x> {
    /// An element beside the entries.
    Head(Element<'x>),
    /// An entry, and what had to be mended in it.
    Entry(Element<'x>, Option<&'static str>),
    /// An entry that is beyond mending.
    Broken(Rejected),
}

/// Which elements make up a kind of document.
pub(super) struct Shape {
    pub(super) roots: &'static [(Space, &'static str)],
    /// Elements under the root that hold entries or further such elements.
    pub(super) containers: &'static [(Space, &'static str)],
    pub(super) entries: &'static [(Space, &'static str)],
    /// What the kind is called in a message.
    pub(super) expected: &'static str,
}

/// Walks through a whole document and returns how many entries it holds, broken ones included.
///
/// Parts are handed over as they come: what was handed over before an error must be thrown away.
pub(super) fn walk(body: &[u8], shape: &Shape, mut hand_over: impl FnMut(Part<'_>)) -> Result<usize, FeedError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(FeedError::TooLarge { bytes: body.len() });
    }
    let text = std::str::from_utf8(body).map_err(|error| FeedError::NotUtf8 {
        position: error.valid_up_to(),
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let beginning = text.trim_start();
    if beginning.is_empty() {
        return Err(FeedError::Empty);
    }
    if !beginning.starts_with('<') {
        return Err(FeedError::NotXml {
            beginning: shorten(beginning),
        });
    }
    let mut cursor = Cursor::new(text);
    let mut closed = false;
    let mut n_entries = 0;
    loop {
        let begin = cursor.position();
        let event = cursor.next().map_err(|error| cursor.failure(error))?;
        match event {
            Event::DocType(_) => {
                return Err(if beginning.get(..14).is_some_and(is_html_doctype) {
                    FeedError::Html {
                        beginning: shorten(beginning),
                    }
                } else {
                    FeedError::DocType
                });
            }
            Event::Start(start) => {
                let space = cursor.space(&start);
                let local_name = start.local_name();
                let name: &str = local_name.as_ref();
                let known = |list: &[(Space, &str)]| list.contains(&(space, name));
                if closed {
                    return Err(cursor.malformed());
                } else if cursor.open.is_empty() && !known(shape.roots) {
                    return Err(not_a_feed(name, beginning, shape.expected));
                } else if cursor.open.is_empty() || known(shape.containers) {
                    if cursor.open.len() >= DEPTH_MAX {
                        return Err(FeedError::TooDeep);
                    }
                    cursor.open.push(begin..cursor.position());
                } else if known(shape.entries) {
                    n_entries += 1;
                    if n_entries > ENTRIES_MAX {
                        return Err(FeedError::TooManyEntries);
                    }
                    hand_over(cursor.entry(begin, space, &start)?);
                } else {
                    let tree = cursor.tree(Element::new(space, start.clone()), None);
                    hand_over(Part::Head(
                        tree.map_err(|broken| match broken {
                            Broken::DocType => FeedError::DocType,
                            Broken::TooDeep => FeedError::TooDeep,
                            Broken::Ended | Broken::Nested => cursor.truncated(),
                            Broken::IllFormed(error) => cursor.failure(error),
                        })?
                        .0,
                    ));
                }
            }
            Event::End(_) => {
                cursor.open.pop();
                closed = cursor.open.is_empty();
            }
            Event::Text(between) if closed && !between.trim().is_empty() => return Err(cursor.malformed()),
            Event::CData(_) | Event::GeneralRef(_) if closed => return Err(cursor.malformed()),
            Event::Eof if closed => return Ok(n_entries),
            Event::Eof => return Err(cursor.truncated()),
            Event::Text(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::Empty(_) => {}
        }
    }
}

fn is_html_doctype(beginning: &str) -> bool {
    beginning.eq_ignore_ascii_case("<!doctype html")
}

fn not_a_feed(root: &str, beginning: &str, expected: &'static str) -> FeedError {
    if root.eq_ignore_ascii_case("html") {
        FeedError::Html {
            beginning: shorten(beginning),
        }
    } else {
        FeedError::NotAFeed {
            root: shorten(root),
            expected,
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(BEGINNING_CHARS).collect()
}

/// Why the tree of one element could not be built.
enum Broken {
    DocType,
    TooDeep,
    /// The input ended inside it.
    Ended,
    /// The next entry begins inside it.
    Nested,
    IllFormed(quick_xml::Error),
}

/// A reader that knows where it is in the text and can go on at another place.
struct Cursor<'x> {
    text: &'x str,
    reader: NsReader<&'x [u8]>,
    /// Where the reader was set down in the text, and what it counted then.
    set_down: (usize, u64),
    /// The start tags of the root and of the containers that are open here.
    open: Vec<Range<usize>>,
}

fn reader(text: &str) -> NsReader<&[u8]> {
    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    // A bare `&` stays as it is: `AT&T` is a blemish, not a reason to lose a paper.
    config.allow_dangling_amp = true;
    reader
}

impl<'x> Cursor<'x> {
    fn new(text: &'x str) -> Self {
        Self {
            text,
            reader: reader(text),
            set_down: (0, 0),
            open: Vec::new(),
        }
    }

    fn position(&self) -> usize {
        let read = self.reader.buffer_position().saturating_sub(self.set_down.1);
        usize::try_from(read).map_or(self.text.len(), |read| {
            self.set_down.0.saturating_add(read).min(self.text.len())
        })
    }

    fn next(&mut self) -> Result<Event<'x>, quick_xml::Error> {
        self.reader.read_event()
    }

    /// The vocabulary of the element that has just begun.
    fn space(&self, start: &BytesStart<'_>) -> Space {
        Space::of(&self.reader.resolver().resolve_element(start.name()).0)
    }

    /// Goes on at `at`, inside the same open elements with their namespaces, after the reader has
    /// lost its way: a fresh reader reads the open tags, then is given the rest of the text.
    fn set_down(&mut self, text: &'x str, at: usize) {
        let mut fresh = reader("");
        for tag in &self.open {
            if fresh.buffer_position() == 0 {
                fresh = reader(&self.text[tag.clone()]);
            } else {
                *fresh.get_mut() = &self.text.as_bytes()[tag.clone()];
            }
            // These tags were read once before.
            if fresh.read_event().is_err() {
                break;
            }
        }
        self.set_down = (at, fresh.buffer_position());
        *fresh.get_mut() = &text.as_bytes()[at..];
        self.reader = fresh;
    }

    fn truncated(&self) -> FeedError {
        FeedError::Truncated { bytes: self.text.len() }
    }

    fn malformed(&self) -> FeedError {
        FeedError::Malformed {
            position: self.position(),
            source: None,
        }
    }

    fn failure(&self, error: quick_xml::Error) -> FeedError {
        match error {
            // The parser names these when it looks for an end and finds that of the input.
            quick_xml::Error::Syntax(syntax)
                if !matches!(syntax, quick_xml::errors::SyntaxError::InvalidBangMarkup) =>
            {
                self.truncated()
            }
            error => FeedError::Malformed {
                position: self.position(),
                source: Some(error),
            },
        }
    }

    /// Reads one entry, whose start tag has just been read at `begin`.
    fn entry(&mut self, begin: usize, space: Space, start: &BytesStart<'x>) -> Result<Part<'x>, FeedError> {
        let qualified = start.name();
        let qualified: &str = qualified.as_ref();
        let why = match self.tree(Element::new(space, start.clone()), Some(qualified)) {
            Ok((tree, blemish)) => return Ok(Part::Entry(tree, blemish)),
            Err(Broken::DocType) => return Err(FeedError::DocType),
            Err(Broken::TooDeep) => format!("nested more than {DEPTH_MAX} deep"),
            Err(Broken::Ended) => "never ends".to_owned(),
            Err(Broken::Nested) => "the next one begins before it ends".to_owned(),
            // The parser repeats names of elements, however long they are and whatever stands in them.
            Err(Broken::IllFormed(error)) => {
                format!("ill-formed: {}", fields::line(&error.to_string(), WHY_BYTES_MAX))
            }
        };
        let end = self.end_of_broken(begin, qualified).ok_or_else(|| self.truncated())?;
        let raw = &self.text[begin..end];
        let part = mend(raw)
            .and_then(|mended| self.again(&mended, qualified))
            .map(|tree| Part::Entry(tree, Some("bare `<` taken for text")));
        self.set_down(self.text, end);
        Ok(part.unwrap_or_else(|| {
            Part::Broken(Rejected {
                id: identifier_in(raw),
                why,
            })
        }))
    }

    /// Where a broken entry ends: after its end tag, before the next entry, or before the end of what holds it.
    fn end_of_broken(&self, begin: usize, qualified: &str) -> Option<usize> {
        let next = find_tag(self.text, begin + 1, &format!("<{qualified}"));
        // Looked for only up to the next entry, so that many broken entries cost no more than one pass.
        let own = &self.text[..next.unwrap_or(self.text.len())];
        if let Some(end) = find_tag(own, begin, &format!("</{qualified}")) {
            return own[end..].find('>').map(|length| end + length + 1);
        }
        next.or_else(|| {
            let tag = &self.text[self.open.last()?.clone()];
            let name: &str = tag
                .trim_start_matches('<')
                .split([' ', '\t', '\n', '\r', '>', '/'])
                .next()?;
            find_tag(self.text, begin, &format!("</{name}"))
        })
    }

    /// Reads a mended entry inside the same open elements.
    fn again(&self, mended: &str, qualified: &str) -> Option<Element<'static>> {
        let mut cursor = Cursor {
            text: self.text,
            reader: reader(""),
            set_down: (0, 0),
            open: self.open.clone(),
        };
        cursor.set_down(mended, 0);
        let Event::Start(start) = cursor.next().ok()? else {
            return None;
        };
        let top = Element::new(cursor.space(&start), start);
        let (tree, _) = cursor.tree(top, Some(qualified)).ok()?;
        Some(tree.into_owned())
    }

    /// Reads an element to its end; `entry` is the name whose start inside it means that its own end is missing.
    fn tree(&mut self, top: Element<'x>, entry: Option<&str>) -> Result<(Element<'x>, Option<&'static str>), Broken> {
        let mut blemish = None;
        let mut n_elements = 0;
        let mut above: Vec<Element<'x>> = Vec::new();
        let mut current = top;
        loop {
            match self.next().map_err(Broken::IllFormed)? {
                Event::Start(start) => {
                    if entry.is_some_and(|name| start.name().as_ref() == name) {
                        return Err(Broken::Nested);
                    }
                    if above.len() + 1 >= DEPTH_MAX {
                        return Err(Broken::TooDeep);
                    }
                    n_elements += 1;
                    let child = Element::new(self.space(&start), start);
                    above.push(std::mem::replace(&mut current, child));
                }
                Event::End(_) => {
                    let Some(parent) = above.pop() else {
                        return Ok((current, blemish));
                    };
                    let child = std::mem::replace(&mut current, parent);
                    if !child.text.is_empty() && is_prose(current.name()) {
                        push(&mut current.text, &child.text, &mut blemish);
                    }
                    if n_elements <= ELEMENTS_MAX {
                        current.children.push(child);
                    } else {
                        blemish = Some("the elements beyond the limit are left out");
                    }
                }
                // White space before or between elements, unless it may separate words of a text around them.
                Event::Text(text)
                    if current.text.is_empty()
                        && text.trim_ascii_start().is_empty()
                        && !above.last().is_some_and(|parent| is_prose(parent.name())) => {}
                Event::Text(text) => add(&mut current.text, text.into_inner(), &mut blemish),
                Event::CData(text) => add(&mut current.text, text.into_inner(), &mut blemish),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(character)) => push(&mut current.text, character.encode_utf8(&mut [0; 4]), &mut blemish),
                    _ => match resolve_xml_entity(&reference) {
                        Some(text) => push(&mut current.text, text, &mut blemish),
                        None => {
                            // Left as it stands: a reader understands `&nbsp;`, and nothing is lost.
                            blemish = Some("an unknown entity is left as it stands");
                            push(&mut current.text, &format!("&{};", &*reference), &mut blemish);
                        }
                    },
                },
                Event::DocType(_) => return Err(Broken::DocType),
                Event::Eof => return Err(Broken::Ended),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_) => {}
            }
        }
    }
}

/// Fields whose text may hold mark-up, such as Atom's `type="xhtml"`.
fn is_prose(name: &str) -> bool {
    ["title", "summary", "description", "abstract", "comment", "comments"].contains(&name)
}

/// Adds a piece of the document, which most often is the whole text and is not copied.
fn add<'x>(text: &mut Cow<'x, str>, more: Cow<'x, str>, blemish: &mut Option<&'static str>) {
    if text.is_empty() && more.len() <= TEXT_BYTES_MAX && !fields::may_hold_controls(&more) {
        *text = more;
    } else {
        push(text, &more, blemish);
    }
}

fn push(text: &mut Cow<'_, str>, more: &str, blemish: &mut Option<&'static str>) {
    let room = TEXT_BYTES_MAX.saturating_sub(text.len());
    if more.len() > room {
        *blemish = Some("text beyond the limit is cut");
    }
    let more = &more[..more.floor_char_boundary(room)];
    let text = text.to_mut();
    if fields::may_hold_controls(more) && more.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        *blemish = Some("control characters are left out");
        text.extend(more.chars().filter(|c| !c.is_control() || c.is_whitespace()));
    } else {
        text.push_str(more);
    }
}

/// The place of a tag's beginning, such as `<entry`, at or after `from`.
fn find_tag(text: &str, from: usize, tag: &str) -> Option<usize> {
    let mut at = from;
    loop {
        at += text.get(at..)?.find(tag)?;
        match text.as_bytes().get(at + tag.len()) {
            Some(b'>' | b'/' | b' ' | b'\t' | b'\n' | b'\r') => return Some(at),
            _ => at += tag.len(),
        }
    }
}

/// Turns every `<` that cannot begin mark-up into a reference; `None` where there is none.
fn mend(raw: &str) -> Option<String> {
    let mut mended = String::with_capacity(raw.len() + 64);
    let mut rest = raw;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        mended.push_str(before);
        let begins = from[1..].starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '!' | '?' | '_'));
        mended.push_str(if begins { "<" } else { "&lt;" });
        rest = &from[1..];
    }
    mended.push_str(rest);
    (mended.len() > raw.len()).then_some(mended)
}

/// The first identifier in the text of a broken entry, so that it can be named.
fn identifier_in(raw: &str) -> Option<String> {
    raw.split(['<', '>'])
        .take(200)
        .filter(|piece| piece.len() < 100)
        .find_map(|piece| VersionedId::parse(piece).ok())
        .map(|(id, _)| id.to_string())
}
