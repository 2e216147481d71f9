//! Reads what an upstream says about the token in `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3). Only
//! `Bearer … error="invalid_token"`, or `DPoP …` for a token that went out so, says that another token would help, and only `insufficient_user_authentication` that
//! another login would (RFC 9470 §3); what cannot be read says nothing.

use http::StatusCode;

use crate::http1::Fields;

const WWW_AUTHENTICATE: &str = "www-authenticate";

/// More than this of one line, or more lines, are not read.
const MOST_BYTES: usize = 4096;
const MOST_LINES: usize = 8;
/// Longest list of authentication contexts that is handed on, bytes.
const LONGEST_ACR: usize = 512;

/// What a login must have for this call, as the API says (RFC 9470 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp {
    /// Authentication contexts, separated by spaces; one of them will do.
    pub acr_values: Option<String>,
    /// The most seconds since the user was last asked to sign in.
    pub max_age: Option<u64>,
}

/// Whether an answer of this status says that the access token is not valid any more; `is_bound` is one that went out with a proof.
pub fn refused(status: StatusCode, fields: &Fields, is_bound: bool) -> bool {
    let scheme: &[u8] = if is_bound { b"dpop" } else { b"bearer" };
    status == StatusCode::UNAUTHORIZED && refuses_token(fields, scheme)
}

/// What a login must have, if an answer of this status says that this one does not have it.
pub fn step_up(status: StatusCode, fields: &Fields) -> Option<StepUp> {
    if status != StatusCode::UNAUTHORIZED {
        return None;
    }
    let lines = fields.get_all(WWW_AUTHENTICATE).take(MOST_LINES);
    let mut lines = lines.filter(|line| line.len() <= MOST_BYTES);
    lines.find_map(asked_for)
}

/// What the first challenge of a line that wants another login asks for.
fn asked_for(line: &[u8]) -> Option<StepUp> {
    let (mut scheme, mut is_meant, mut wish): (&[u8], _, _) = (&[], false, StepUp::default());
    Challenges(line).any(|param| {
        if !std::ptr::eq(param.scheme, scheme) {
            if is_meant {
                return true;
            }
            (scheme, wish) = (param.scheme, StepUp::default());
        }
        let is_bearer =
            [&b"bearer"[..], b"dpop"].iter().any(|one| scheme.eq_ignore_ascii_case(one));
        match &*param.name.to_ascii_lowercase() {
            b"error" if is_bearer => is_meant = param.value == b"insufficient_user_authentication",
            b"acr_values" => wish.acr_values = acr_values(param.value),
            b"max_age" => wish.max_age = max_age(param.value),
            _ => {}
        }
        false
    });
    is_meant.then_some(wish)
}

/// A list that may stand in a query: printable, without the escapes of its quotes.
fn acr_values(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.replace('\\', "");
    let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let list: Vec<&str> = text.split(' ').filter(|name| !name.is_empty()).collect();
    (is_plain && !list.is_empty() && text.len() <= LONGEST_ACR).then(|| list.join(" "))
}

/// Seconds; what is no number is none.
fn max_age(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let is_number = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Whether the challenges of this scheme, that of the token, say that it is not valid any more.
fn refuses_token(fields: &Fields, scheme: &[u8]) -> bool {
    any_challenge(fields, |param| param.is_error_of(scheme, b"invalid_token"))
}

fn any_challenge(fields: &Fields, says_so: impl Fn(&Param<'_>) -> bool) -> bool {
    let mut lines = fields.get_all(WWW_AUTHENTICATE).take(MOST_LINES);
    lines.any(|line| line.len() <= MOST_BYTES && Challenges(line).any(&says_so))
}

/// One parameter of a challenge; nothing in it is copied.
struct Param<'a> {
    scheme: &'a [u8],
    name: &'a [u8],
    /// As written: a quoted string keeps its escapes, which the one value that we look for does not need.
    value: &'a [u8],
}

impl Param<'_> {
    fn is_error_of(&self, scheme: &[u8], error: &[u8]) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
            && self.name.eq_ignore_ascii_case(b"error")
            && self.value == error
    }
}

/// Whether an answer of this status wants a nonce in the proof, and has looked at nothing else (RFC 9449 §9).
pub fn wants_nonce(status: StatusCode, fields: &Fields) -> bool {
    let says_so = |param: &Param<'_>| param.is_error_of(b"dpop", b"use_dpop_nonce");
    status == StatusCode::UNAUTHORIZED && any_challenge(fields, says_so)
}

/// The rest of a line, read parameter by parameter.
struct Challenges<'a>(&'a [u8]);

impl<'a> Challenges<'a> {
    fn any(mut self, mut matches: impl FnMut(&Param<'a>) -> bool) -> bool {
        let mut scheme: &[u8] = &[];
        // A scheme stands at the start or after a comma; what else stands alone is a token68.
        let mut after_comma = true;
        loop {
            after_comma |= self.skip();
            let word = self.take(is_word);
            if word.is_empty() {
                // The end, or something that is no challenge.
                return false;
            }
            let rest = self.0;
            self.skip_blanks();
            let Some(value) = self.value() else {
                self.0 = rest;
                self.take(|byte| byte == b'=');
                if after_comma {
                    scheme = word;
                }
                after_comma = false;
                continue;
            };
            after_comma = false;
            if matches(&Param { scheme, name: word, value }) {
                return true;
            }
        }
    }

    /// What stands after an equals sign: a word or a quoted string.
    fn value(&mut self) -> Option<&'a [u8]> {
        let after = self.0.strip_prefix(b"=")?;
        let after = after.trim_ascii_start();
        if let Some(quoted) = after.strip_prefix(b"\"") {
            let mut escaped = false;
            let end = quoted.iter().position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            })?;
            self.0 = quoted.get(end + 1..)?;
            return quoted.get(..end);
        }
        let mut rest = Challenges(after);
        let word = rest.take(is_word);
        // `abc==` is a token68.
        if word.is_empty() {
            return None;
        }
        self.0 = rest.0;
        Some(word)
    }

    /// Skips blanks and commas; whether there was a comma.
    fn skip(&mut self) -> bool {
        self.take(|byte| matches!(byte, b' ' | b'\t' | b',')).contains(&b',')
    }

    fn skip_blanks(&mut self) {
        self.take(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn take(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !belongs(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}

/// Token characters (RFC 9110 §5.6.2), and those that only a token68 has.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn headers(lines: &[&[u8]]) -> Fields {
        Fields::copied(lines.iter().map(|line| (WWW_AUTHENTICATE, *line)))
    }

    // proves: PX-18
    #[rstest]
    #[case(&["Bearer error=\"invalid_token\""], true)]
    #[case(&["bearer realm=\"a, b\", ERROR = invalid_token"], true)]
    #[case(&["Bearer realm=\"say \\\"x\\\", error=\", error=\"invalid_token\", error_description=\"it ended\""], true)]
    #[case(&["Basic realm=\"x\"", "Bearer error=\"invalid_token\""], true)]
    #[case(&["Negotiate YWJj==, Bearer error=\"invalid_token\""], true)]
    #[case(&["Negotiate, DPoP algs=\"ES256\", Bearer ,, error=\"invalid_token\""], true)]
    #[case(&["Basic realm=x, Bearer realm=y,error=invalid_token"], true)]
    #[case(&["Bearer"], false)]
    #[case(&["Bearer realm=\"invalid_token\""], false)]
    #[case(&["Bearer error=\"insufficient_scope\""], false)]
    #[case(&["Bearer error=\"invalid_token_x\""], false)]
    #[case(&["DPoP error=\"invalid_token\""], false)]
    #[case(&["Bearer realm=\"x\", DPoP error=\"invalid_token\""], false)]
    #[case(&["Basic realm=\"Bearer error=\\\"invalid_token\\\"\""], false)]
    #[case(&["Basic realm=\", Bearer error=invalid_token"], false)]
    #[case(&["Bearer error_description=\"error=invalid_token\""], false)]
    #[case(&["Negotiate Bearer error=\"invalid_token\""], false)]
    #[case(&["error=\"invalid_token\""], false)]
    #[case(&[""], false)]
    fn only_a_bearer_challenge_with_invalid_token_counts(
        #[case] lines: &[&str],
        #[case] expected: bool,
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(refuses_token(&headers(&lines), b"bearer"), expected);
    }

    // proves: PX-19
    #[rstest]
    #[case("Bearer error=\"insufficient_user_authentication\", acr_values=\"gold silver\", max_age=\"5\"", Some(("gold silver", 5)))]
    #[case("bearer ERROR=insufficient_user_authentication, Max_Age=0", Some(("", 0)))]
    #[case("DPoP max_age=7, error=\"insufficient_user_authentication\", algs=\"ES256\"", Some(("", 7)))]
    #[case("Basic max_age=1, Bearer acr_values=\"a\", error=\"insufficient_user_authentication\"", Some(("a", 999)))]
    #[case("Bearer error=\"insufficient_user_authentication\", Basic acr_values=\"b\", max_age=9", Some(("", 999)))]
    #[case("Bearer error=\"insufficient_user_authentication\"", Some(("", 999)))]
    #[case("Bearer error=\"insufficient_user_authentication\", max_age=\"-1\", acr_values=\"  \"", Some(("", 999)))]
    #[case("Bearer error=\"insufficient_user_authentication\", acr_values=\"g\u{f6}ld\"", Some(("", 999)))]
    #[case("Bearer error=\"invalid_token\", acr_values=\"gold\"", None)]
    #[case("Basic error=\"insufficient_user_authentication\"", None)]
    #[case("Bearer realm=\"error=insufficient_user_authentication\"", None)]
    fn a_challenge_says_what_the_login_must_have(
        #[case] line: &str,
        #[case] expected: Option<(&str, u64)>,
    ) {
        let all = headers(&[line.as_bytes()]);
        let found = step_up(StatusCode::UNAUTHORIZED, &all);
        let found =
            found.map(|wish| (wish.acr_values.unwrap_or_default(), wish.max_age.unwrap_or(999)));
        assert_eq!(found.as_ref().map(|(acr, age)| (acr.as_str(), *age)), expected);
        assert_eq!(step_up(StatusCode::FORBIDDEN, &all), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_to_an_end(line in "[ -~\t]{0,200}") {
            refuses_token(&headers(&[line.as_bytes()]), b"bearer");
            let quoted = format!("Basic realm=\"{}\"", line.replace(['"', '\\'], ""));
            prop_assert!(!refuses_token(&headers(&[quoted.as_bytes()]), b"bearer"), "{quoted}");
            let told = format!("{quoted}, Bearer error=invalid_token");
            prop_assert!(refuses_token(&headers(&[told.as_bytes()]), b"bearer"), "{told}");
        }
    }
}
