//! Reads the forms of a page, as far as a browser that submits them needs it. No general HTML parser.

/// A form with its fields and buttons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub action: String,
    pub post: bool,
    /// Name, type and value of every input with a name.
    pub inputs: Vec<Input>,
    /// Name and value of every submit button with a name, also those that point here by `form="id"`.
    pub buttons: Vec<(String, String)>,
}

/// An `<input>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub kind: String,
    pub value: String,
}

/// All forms of a page, in order.
pub fn forms(html: &str) -> Vec<Form> {
    let mut found: Vec<(Option<String>, Form)> = Vec::new();
    let mut inside = false;
    for (tag, attributes) in tags(html) {
        let get = |name: &str| attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        match tag.as_str() {
            "form" => {
                inside = true;
                let post = get("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
                let action = get("action").unwrap_or_default();
                found.push((get("id"), Form { action, post, ..Form::default() }));
            }
            "/form" => inside = false,
            "input" | "button" => {
                let owner = match get("form") {
                    Some(id) => found.iter_mut().find(|(form, _)| form.as_ref() == Some(&id)),
                    None => found.last_mut().filter(|_| inside),
                };
                let (Some((_, form)), Some(name)) = (owner, get("name")) else { continue };
                let value = get("value").unwrap_or_default();
                if tag == "button" {
                    form.buttons.push((name, value));
                } else {
                    let kind = get("type").unwrap_or_else(|| "text".to_owned());
                    form.inputs.push(Input { name, kind, value });
                }
            }
            _ => {}
        }
    }
    found.into_iter().map(|(_, form)| form).collect()
}

/// Every tag's lower-case name and attributes. Comments and scripts are not understood; the pages have none that matter.
fn tags(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = tag_end(rest);
        let (name, attributes) =
            rest[..end].split_once(char::is_whitespace).unwrap_or((&rest[..end], ""));
        let name = name.trim_end_matches('/').to_ascii_lowercase();
        found.push((
            if name.is_empty() { "/".to_owned() } else { name },
            read_attributes(attributes),
        ));
        rest = &rest[end..];
    }
    found
}

/// Where the tag ends: at the first `>` outside quotes.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return at,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn read_attributes(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let name_end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = rest[..name_end].trim_matches('/').to_ascii_lowercase();
        rest = rest[name_end..].trim_start();
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let (raw, left) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inner = &after[1..];
                    inner.split_once(quote).unwrap_or((inner, ""))
                }
                _ => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
            };
            value = unescape(raw);
            rest = left.trim_start();
        }
        if name_end == 0 && !rest.is_empty() {
            rest = rest[1..].trim_start();
        }
        if !name.is_empty() {
            found.push((name, value));
        }
    }
    found
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[test]
fn forms_are_read_with_their_fields_and_with_buttons_outside_of_them() {
    let page = r#"<a href="/x>y">no form</a><form id="f" method="POST" action="/go?a=1&amp;b=2">
        <input type="hidden" name="csrf" value='a"b'/><input required name="login"></form>
        <button type="submit" form="f" name="logout" value="yes">Yes</button><button name="stray">No</button>"#;
    let form = Form {
        action: "/go?a=1&b=2".to_owned(),
        post: true,
        inputs: vec![
            Input { name: "csrf".to_owned(), kind: "hidden".to_owned(), value: "a\"b".to_owned() },
            Input { name: "login".to_owned(), kind: "text".to_owned(), value: String::new() },
        ],
        buttons: vec![("logout".to_owned(), "yes".to_owned())],
    };
    assert_eq!(forms(page), [form]);
}
