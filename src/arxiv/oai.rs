//! OAI-PMH 2.0 answers: `ListRecords` and `GetRecord` in the formats `arXivRaw` and `arXiv`.
//!
//! Only `arXivRaw` says everything: all versions with their dates and whether the last one withdraws the
//! paper. `arXiv` gives one date, that of the current version, and no version number.

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    fields::{self, AFFILIATIONS_MAX, AUTHORS_MAX},
    names,
    xml::{self, Element, FeedError, Mended, Part, Rejected, Shape, Space},
};
use crate::model::{ArxivId, Author, Paper, VersionedId};

const SHAPE: Shape = Shape {
    roots: &[(Space::Oai, "OAI-PMH")],
    containers: &[(Space::Oai, "ListRecords"), (Space::Oai, "GetRecord")],
    entries: &[(Space::Oai, "record")],
    expected: "an OAI-PMH answer",
};
/// The longest resumption token that is taken, in bytes: it goes back in an address.
const TOKEN_BYTES_MAX: usize = 2_000;
/// The version under which a record of the format `arXiv` is known, since it names none.
const VERSION_UNNAMED: u16 = 1;

/// One page of a harvest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The papers, in the order in which they came.
    pub papers: Vec<Paper>,
    /// Records that could not be used.
    pub rejected: Vec<Rejected>,
    /// Papers that are used although something in their record was wrong.
    pub mended: Vec<Mended>,
    /// Records that arXiv marks as deleted.
    pub deleted: Vec<ArxivId>,
    /// How many records there were: papers, rejected and deleted ones.
    pub n_records: usize,
    /// The latest day on which any of the records changed; they come in no order that could be relied on.
    pub latest_change: Option<NaiveDate>,
    /// What to send for the next page; `None` on the last one.
    pub resumption_token: Option<String>,
    /// When arXiv answered: the next harvest starts from this day.
    pub response_date: Option<DateTime<Utc>>,
}

/// Why an answer holds no records.
#[derive(Debug, thiserror::Error)]
pub enum OaiError {
    /// The answer is not a whole OAI-PMH document.
    #[error("the OAI-PMH answer cannot be read")]
    Document(#[from] FeedError),
    /// A protocol error, which comes with HTTP status 200.
    #[error("arXiv's OAI-PMH refused the request with {code}: {text}")]
    Protocol {
        /// Which error.
        code: ErrorCode,
        /// arXiv's own words.
        text: String,
    },
}

/// The error conditions of OAI-PMH 2.0, section 3.6, but for `noRecordsMatch`, which is an empty page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorCode {
    /// An argument is missing, repeated or not allowed.
    BadArgument,
    /// The token is unknown or has expired (at arXiv at midnight UTC): the harvest starts again.
    BadResumptionToken,
    /// The verb is missing or unknown.
    BadVerb,
    /// The format is unknown.
    CannotDisseminateFormat,
    /// There is no such paper.
    IdDoesNotExist,
    /// A code that is none of these.
    Other(String),
}

impl ErrorCode {
    /// The condition of that name.
    pub(super) fn of(code: &str) -> Self {
        match code {
            "badArgument" => Self::BadArgument,
            "badResumptionToken" => Self::BadResumptionToken,
            "badVerb" => Self::BadVerb,
            "cannotDisseminateFormat" => Self::CannotDisseminateFormat,
            "idDoesNotExist" => Self::IdDoesNotExist,
            other => Self::Other(fields::line(other, 64)),
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BadArgument => "badArgument",
            Self::BadResumptionToken => "badResumptionToken",
            Self::BadVerb => "badVerb",
            Self::CannotDisseminateFormat => "cannotDisseminateFormat",
            Self::IdDoesNotExist => "idDoesNotExist",
            Self::Other(code) => code,
        })
    }
}

/// Reads one page. `noRecordsMatch` gives an empty page: nothing was modified since `from`.
///
/// # Errors
/// Whatever is not a whole OAI-PMH document, and every other protocol error. A broken record is no
/// error: it is named in [`Page::rejected`].
pub fn parse(body: &[u8]) -> Result<Page, OaiError> {
    let mut page = Page::default();
    let mut refusal = None;
    let mut answered = false;
    page.n_records = xml::walk(body, &SHAPE, |part| match part {
        Part::Head(element) => match (element.space, element.name()) {
            (Space::Oai, "responseDate") => page.response_date = fields::instant(&element.text),
            (Space::Oai, "resumptionToken") => page.resumption_token = token(&element.text),
            (Space::Oai, "error") => match &*element.attribute("code").unwrap_or_default() {
                "noRecordsMatch" => answered = true,
                code => {
                    refusal.get_or_insert_with(|| OaiError::Protocol {
                        code: ErrorCode::of(code),
                        text: fields::line(&element.text, fields::LINE_BYTES_MAX),
                    });
                }
            },
            _ => {}
        },
        Part::Broken(rejected) => page.rejected.push(rejected),
        Part::Entry(record, blemish) => {
            page.latest_change = page.latest_change.max(changed_on(&record));
            match read(&record) {
                Ok(Record::Paper(paper)) => {
                    page.mended.extend(blemish.map(|how| Mended {
                        id: paper.id.to_string(),
                        how,
                    }));
                    page.papers.push(paper);
                }
                Ok(Record::Deleted(id)) => page.deleted.push(id),
                Err(rejected) => page.rejected.push(rejected),
            }
        }
    })?;
    match refusal {
        Some(refusal) => Err(refusal),
        // OAI-PMH has an error for "nothing": a list without records or error is a failure.
        None if page.n_records == 0 && !answered => Err(FeedError::Empty.into()),
        None => Ok(page),
    }
}

/// A token, unless it is empty, which ends the list. One that is too long cannot be sent back and is kept, so
/// that the next request fails in the open instead of the harvest ending early.
fn token(text: &str) -> Option<String> {
    let token = text.trim();
    (!token.is_empty()).then(|| token[..token.floor_char_boundary(TOKEN_BYTES_MAX)].to_owned())
}

/// The day of a record's datestamp, which arXiv gives without a time of day.
fn changed_on(record: &Element<'_>) -> Option<NaiveDate> {
    let datestamp = record.child(Space::Oai, "header")?.text_of(Space::Oai, "datestamp");
    datestamp.trim().get(..10)?.parse().ok()
}

/// How much of an unknown format's name is shown, in bytes.
const FORMAT_BYTES_MAX: usize = 80;

enum Record {
    Paper(Paper),
    Deleted(ArxivId),
}

fn read(record: &Element<'_>) -> Result<Record, Rejected> {
    let header = record.child(Space::Oai, "header");
    let name = header.map_or("", |header| header.text_of(Space::Oai, "identifier").trim());
    let reject = |why: String| Rejected {
        id: VersionedId::parse(name)
            .map(|(id, _)| id.to_string())
            .ok()
            .or_else(|| fields::optional(name)),
        why,
    };
    if header.is_some_and(|header| header.attribute("status").as_deref() == Some("deleted")) {
        return VersionedId::parse(name)
            .map(|(id, _)| Record::Deleted(id))
            .map_err(|error| reject(error.to_string()));
    }
    // Edited recordings have lost the format's own namespace, so the name decides here.
    let metadata = record
        .child(Space::Oai, "metadata")
        .and_then(|metadata| metadata.children.first())
        .ok_or_else(|| reject("the record has no metadata".to_owned()))?;
    let fields = Fields(metadata);
    let named = fields.text("id").trim();
    let (id, _) =
        VersionedId::parse(if named.is_empty() { name } else { named }).map_err(|error| reject(error.to_string()))?;
    match metadata.name() {
        "arXivRaw" => Ok(Record::Paper(raw(fields, id))),
        "arXiv" => Ok(Record::Paper(plain(fields, id))),
        other => Err(reject(format!(
            "the format {:?} is not known here; ask for arXivRaw",
            fields::line(other, FORMAT_BYTES_MAX)
        ))),
    }
}

/// The metadata element, whose children all share its namespace.
#[derive(Clone, Copy)]
struct Fields<'e>(&'e Element<'e>);

impl<'e> Fields<'e> {
    fn text(self, name: &str) -> &'e str {
        self.0.text_of(self.0.space, name)
    }

    fn optional(self, name: &str) -> Option<String> {
        fields::optional(self.text(name))
    }

    fn all(self, name: &'e str) -> impl Iterator<Item = &'e Element<'e>> {
        self.0.all(self.0.space, name)
    }
}

/// What both formats write alike; dates, version and authors are the format's own.
fn common(fields: Fields<'_>, id: ArxivId) -> Paper {
    let mut categories = Vec::new();
    fields::push_categories(&mut categories, fields.text("categories").split_whitespace());
    let comment = fields.optional("comments");
    let abstract_text = fields::abstract_text(fields.text("abstract"));
    Paper {
        title: fields::title(fields.text("title"), &id),
        id,
        version: VERSION_UNNAMED,
        authors: Vec::new(),
        withdrawn: fields::is_withdrawn(comment.as_deref().unwrap_or_default(), &abstract_text),
        abstract_text,
        submitted: None,
        updated: None,
        categories,
        comment,
        journal_ref: fields.optional("journal-ref"),
        doi: fields.optional("doi"),
    }
}

fn raw(fields: Fields<'_>, id: ArxivId) -> Paper {
    let mut versions: Vec<(u16, &Element<'_>)> = fields
        .all("version")
        .filter_map(|version| Some((version.attribute("version")?.strip_prefix('v')?.parse().ok()?, version)))
        .collect();
    versions.sort_by_key(|(number, _)| *number);
    let date = |version: &Element<'_>| fields::instant(version.text_of(version.space, "date"));
    let last = versions.last();
    // `I` marks a version whose source is withdrawn; other letters may stand with it.
    let is_withdrawn = last.is_some_and(|(_, version)| version.text_of(version.space, "source_type").contains('I'));
    let paper = common(fields, id);
    Paper {
        version: last.map_or(VERSION_UNNAMED, |(number, _)| (*number).max(1)),
        submitted: versions
            .first()
            .filter(|(number, _)| *number == 1)
            .and_then(|(_, version)| date(version)),
        updated: last.and_then(|(_, version)| date(version)),
        authors: names::split(fields.text("authors")),
        withdrawn: is_withdrawn || paper.withdrawn,
        ..paper
    }
}

fn plain(fields: Fields<'_>, id: ArxivId) -> Paper {
    let authors = fields
        .all("authors")
        .flat_map(|authors| authors.all(authors.space, "author"));
    Paper {
        authors: authors.filter_map(author).take(AUTHORS_MAX).collect(),
        // Documented as the creation of the record, but it is the date of the current version.
        updated: fields::instant(fields.text("created")),
        ..common(fields, id)
    }
}

fn author(author: &Element<'_>) -> Option<Author> {
    let part = |name| author.text_of(author.space, name).trim();
    let name = [part("forenames"), part("keyname"), part("suffix")].join(" ");
    let affiliations = author
        .all(author.space, "affiliation")
        .filter_map(|affiliation| fields::optional(&names::readable_name(&affiliation.text)))
        .take(AFFILIATIONS_MAX);
    fields::author(&names::readable_name(&name), affiliations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(inside: &str) -> String {
        format!(
            "<?xml version='1.0' encoding='UTF-8'?><OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'>\
             <responseDate>2026-03-10T04:00:00Z</responseDate><request>https://example.org/oai</request>{inside}</OAI-PMH>"
        )
    }

    fn raw_record(id: &str, inside: &str) -> String {
        format!(
            "<record><header><identifier>oai:arXiv.org:{id}</identifier></header><metadata>\
             <arXivRaw xmlns='http://arxiv.org/OAI/arXivRaw/'><id>{id}</id>{inside}</arXivRaw></metadata></record>"
        )
    }

    #[test]
    fn a_raw_record_gives_first_and_last_version() {
        let record = raw_record(
            "2603.00001",
            r#"<version version="v1"><date>Mon, 9 Mar 2026 10:00:00 GMT</date><size>1kb</size></version>
               <version version="v10"><date>Wed, 11 Mar 2026 10:00:00 GMT</date><source_type>I</source_type></version>
               <version version="v2"><date>Tue, 10 Mar 2026 10:00:00 GMT</date><source_type>D</source_type></version>
               <title>On a
  thing</title><authors>Ana Bee (X) and C. Dee</authors><categories>cs.LG hep-th</categories><abstract>  A.</abstract>"#,
        );
        let page = parse(
            page(&format!(
                "<ListRecords>{record}<resumptionToken>a|b</resumptionToken></ListRecords>"
            ))
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(page.resumption_token.as_deref(), Some("a|b"));
        let paper = &page.papers[0];
        assert_eq!(
            (paper.version, paper.title.as_str(), paper.withdrawn),
            (10, "On a thing", true)
        );
        assert_eq!(paper.submitted, fields::instant("2026-03-09T10:00:00Z"));
        assert_eq!(paper.updated, fields::instant("2026-03-11T10:00:00Z"));
        assert_eq!(paper.authors.len(), 2);
        assert_eq!(paper.categories, ["cs.LG", "hep-th"]);
    }

    #[test]
    fn protocol_errors_are_typed_and_nothing_modified_is_an_empty_page() {
        let error = |code: &str| parse(page(&format!("<error code='{code}'>some words</error>")).as_bytes());
        let empty = error("noRecordsMatch").unwrap();
        assert_eq!((empty.n_records, empty.papers.len()), (0, 0));
        assert!(empty.response_date.is_some());
        for (name, expected) in [
            ("badResumptionToken", ErrorCode::BadResumptionToken),
            ("badArgument", ErrorCode::BadArgument),
            ("idDoesNotExist", ErrorCode::IdDoesNotExist),
            ("surprise", ErrorCode::Other("surprise".to_owned())),
        ] {
            assert!(
                matches!(error(name), Err(OaiError::Protocol { code, text }) if code == expected && text == "some words"),
                "{name}"
            );
        }
        // A list without records and without an error is no quiet day.
        assert!(parse(page("<ListRecords></ListRecords>").as_bytes()).is_err());
        assert!(parse(page("").as_bytes()).is_err());
    }

    #[test]
    fn the_latest_change_is_found_in_any_order() {
        let record = |day: &str| {
            let header = format!("<identifier>oai:arXiv.org:2603.00001</identifier><datestamp>{day}</datestamp>");
            raw_record("2603.00001", "").replace("<identifier>oai:arXiv.org:2603.00001</identifier>", &header)
        };
        let records = ["2026-03-09", "2026-03-11T00:00:00Z", "2026-03-10", "soon"].map(record);
        let page = parse(page(&format!("<ListRecords>{}</ListRecords>", records.concat())).as_bytes()).unwrap();
        assert_eq!(page.latest_change, NaiveDate::from_ymd_opt(2026, 3, 11));
    }

    #[test]
    fn a_record_without_metadata_is_named_and_its_neighbours_are_read() {
        let hole = "<record><header><identifier>oai:arXiv.org:2603.00002</identifier></header></record>";
        let deleted =
            "<record><header status='deleted'><identifier>oai:arXiv.org:2603.00003</identifier></header></record>";
        let broken = raw_record("2603.00004", "<title>x</abstract>");
        let records = [
            raw_record("2603.00001", ""),
            hole.to_owned(),
            deleted.to_owned(),
            broken,
            raw_record("2603.00005", ""),
        ];
        let page = parse(
            page(&format!(
                "<ListRecords>{}<resumptionToken/></ListRecords>",
                records.concat()
            ))
            .as_bytes(),
        )
        .unwrap();
        let ids: Vec<String> = page.papers.iter().map(|paper| paper.id.to_string()).collect();
        assert_eq!(ids, ["2603.00001", "2603.00005"]);
        let rejected: Vec<_> = page.rejected.iter().map(|rejected| rejected.id.as_deref()).collect();
        assert_eq!(rejected, [Some("2603.00002"), Some("2603.00004")]);
        assert_eq!(
            (page.deleted.len(), page.n_records, page.resumption_token),
            (1, 5, None)
        );
    }
}
