//! Reading the HTML of a mail: tags with their attributes and inherited style, and visible text.

use std::collections::BTreeMap;

/// One piece of a page.
pub(super) enum Piece {
    /// A tag that begins, with what holds inside it.
    Open(Tag),
    /// A tag that ends.
    Close(String),
    /// Text with its entities resolved, and the style it stands in.
    Text(String, Style),
}

pub(super) struct Tag {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

impl Tag {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The declarations of its style attribute.
    pub(super) fn declarations(&self) -> BTreeMap<String, String> {
        declarations(self.attribute("style").unwrap_or_default())
    }
}

/// The colours and the size in force.
#[derive(Clone, Default)]
pub(super) struct Style {
    pub(super) colour: String,
    pub(super) ground: String,
    pub(super) dark_colour: String,
    pub(super) dark_ground: String,
    /// Pixels; `None` where nothing has set it, so that the reader's program decides.
    pub(super) size_px: Option<u32>,
    /// The classes of this element and of those around it.
    classes: Vec<String>,
    /// The element the text stands in.
    pub(super) element: String,
}

pub(super) fn declarations(style: &str) -> BTreeMap<String, String> {
    style
        .split(';')
        .filter_map(|rule| rule.split_once(':'))
        .map(|(property, value)| (property.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

impl Style {
    /// What an element changes: inline for the light scheme, by its classes for the dark one.
    fn read(&mut self, tag: &Tag, own: &BTreeMap<String, String>, dark: &[(String, BTreeMap<String, String>)]) {
        let around = self.classes.clone();
        let classes: Vec<&str> = tag.attribute("class").unwrap_or_default().split(' ').collect();
        let applies = |selector: &str| match selector.split_once(' ') {
            Some((outer, element)) => element == tag.name && around.iter().any(|class| class == outer),
            None => classes.contains(&selector),
        };
        let rules: Vec<_> = dark.iter().filter(|(selector, _)| applies(selector)).collect();
        let in_dark = |property: &str| rules.iter().rev().find_map(|(_, rule)| rule.get(property));
        for (property, light, dark) in [
            ("color", &mut self.colour, &mut self.dark_colour),
            ("background-color", &mut self.ground, &mut self.dark_ground),
        ] {
            if let Some(value) = own.get(property) {
                light.clone_from(value);
            }
            if let Some(value) = in_dark(property).or(own.get(property)) {
                dark.clone_from(value);
            }
        }
        self.classes.extend(classes.into_iter().map(str::to_owned));
        // `font:bold 16px/22px …` or `font-size:15px`.
        let sizes = ["font", "font-size"].iter().filter_map(|property| own.get(*property));
        for value in sizes {
            let px = value.split([' ', '/']).find_map(|word| word.strip_suffix("px"));
            self.size_px = px.and_then(|px| px.parse().ok()).or(self.size_px);
        }
    }
}

/// The rules for readers who prefer dark: each class, or class and element in it, with its declarations.
fn dark_rules(html: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let block = html
        .split_once("(prefers-color-scheme:dark){")
        .map_or("", |(_, block)| block);
    let mut depth = 1_i32;
    let end = block.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    let rules = &block[..end.unwrap_or(0)];
    let mut all = Vec::new();
    for (selectors, body) in rules.split('}').filter_map(|rule| rule.split_once('{')) {
        for selector in selectors.split(',') {
            let body = declarations(&body.replace(" !important", ""));
            all.push((selector.trim().trim_start_matches('.').to_owned(), body));
        }
    }
    all
}

const VOID: [&str; 3] = ["meta", "br", "hr"];

/// Reads a whole page.
///
/// # Errors
/// Markup that is not well formed.
pub(super) fn pieces(html: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut open: Vec<(String, Style)> = Vec::new();
    let dark = dark_rules(html);
    let mut rest = html;
    while !rest.is_empty() {
        let at = rest.find('<').unwrap_or(rest.len());
        if at > 0 {
            let style = open.last().map(|(_, style)| style.clone()).unwrap_or_default();
            pieces.push(Piece::Text(resolve(&rest[..at]), style));
            rest = &rest[at..];
            continue;
        }
        let mut is_quoted = false;
        let end = rest.find(|c| {
            is_quoted ^= c == '"';
            c == '>' && !is_quoted
        });
        let end = end.ok_or("a tag does not end")?;
        let inside = &rest[1..end];
        rest = &rest[end + 1..];
        if inside.starts_with('!') {
            continue;
        }
        if let Some(name) = inside.strip_prefix('/') {
            match open.pop() {
                Some((last, _)) if last == name => pieces.push(Piece::Close(name.to_owned())),
                other => return Err(format!("</{name}> ends {other:?}", other = other.map(|(name, _)| name))),
            }
            continue;
        }
        let tag = tag(inside)?;
        if !VOID.contains(&tag.name.as_str()) {
            let mut style = open.last().map(|(_, style)| style.clone()).unwrap_or_default();
            let own = tag.declarations();
            style.element.clone_from(&tag.name);
            style.read(&tag, &own, &dark);
            open.push((tag.name.clone(), style));
        }
        pieces.push(Piece::Open(tag));
    }
    match open.pop() {
        None => Ok(pieces),
        Some((name, _)) => Err(format!("<{name}> is not ended")),
    }
}

fn tag(inside: &str) -> Result<Tag, String> {
    let (name, mut rest) = inside.split_once([' ', '\n']).unwrap_or((inside, ""));
    let mut attributes = Vec::new();
    while let Some((key, value)) = rest.trim_start().split_once("=\"") {
        let (value, more) = value.split_once('"').ok_or("an attribute does not end")?;
        attributes.push((key.to_owned(), resolve(value)));
        rest = more;
    }
    if rest.trim().is_empty() {
        Ok(Tag {
            name: name.to_owned(),
            attributes,
        })
    } else {
        Err(format!("<{inside}> has an attribute without a value"))
    }
}

pub(super) fn tags(html: &str) -> Result<Vec<Tag>, String> {
    let tags = pieces(html)?.into_iter().filter_map(|piece| match piece {
        Piece::Open(tag) => Some(tag),
        Piece::Close(_) | Piece::Text(..) => None,
    });
    Ok(tags.collect())
}

/// What a reader sees, in linear order, blanks folded.
pub(super) fn visible(html: &str) -> Result<String, String> {
    let mut out = String::new();
    for piece in pieces(html)? {
        match piece {
            Piece::Text(text, style) if !["style", "title"].contains(&style.element.as_str()) => out.push_str(&text),
            Piece::Open(tag) if !["a", "b", "span", "em", "sup", "sub", "code"].contains(&tag.name.as_str()) => {
                out.push(' ');
            }
            _ => {}
        }
    }
    Ok(out.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn resolve(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&emsp;", " "),
        ("&ensp;", " "),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, literal)| text.replace(entity, literal))
}
