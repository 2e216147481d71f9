//! Records to bytes and back: length-prefixed fields behind a version, JWTs with their base64url undone.
//! Never panics on any input; an unknown version is told apart from a broken one by the seal's own version.

use base64_simd::URL_SAFE_NO_PAD;

use smallvec::SmallVec;

use super::record::{LoginAttempt, PROOF_KEY, Replaced, SessionId, SessionRecord};
use super::registration::Registration;
use crate::clock::Timestamp;
use crate::formats::RECORD;
use crate::secret::{Secret, text_room};

/// The layouts below are those of this one; a second version that is read has a reader of its own.
const _: () = assert!(RECORD.reads.0 == RECORD.writes && RECORD.reads.1 == RECORD.writes);
/// Plaintexts are padded to steps of this many bytes, to hide small differences in length.
const STEP: usize = 64;
/// A JWS has three parts, a JWE five.
const MOST_PARTS: usize = 5;

/// Encodes a record; `identity` fields ride along, so that a later store can tell records apart.
pub fn encode_record(record: &SessionRecord, app_id: &str, issuer: &str) -> Vec<u8> {
    let mut out = Writer(vec![RECORD.writes]);
    out.text(app_id);
    out.text(issuer);
    out.raw(record.session_id.as_bytes());
    out.number(u64::from(record.generation));
    out.text(&record.subject);
    out.maybe(record.op_sid.as_deref());
    out.number(record.auth_time.map_or(u64::MAX, |at| at.0));
    out.maybe(record.acr.as_deref());
    out.number(record.created.0);
    out.number(record.expires.0);
    out.number(record.sealed_at.0);
    out.token(record.access_token.expose());
    out.number(record.access_expires.0);
    match &record.refresh_token {
        Some(token) => {
            out.0.push(1);
            out.token(token.expose());
        }
        None => out.0.push(0),
    }
    out.maybe(record.scope.as_deref());
    out.text(&record.claims);
    out.number((record.extensions.len() + usize::from(record.proof_key.is_some())) as u64);
    let key = record.proof_key.iter().map(|key| (PROOF_KEY, key.expose()));
    for (tag, value) in record.extensions.iter().map(|(tag, value)| (*tag, value)).chain(key) {
        out.number(u64::from(tag));
        out.bytes(value);
    }
    out.padded()
}

/// Decodes a record that was sealed for `registration`; `None` when it is not one of ours.
pub fn decode_record(bytes: &[u8], registration: Registration) -> Option<SessionRecord> {
    let mut input = Reader(bytes);
    if !RECORD.can_read(input.byte()?) {
        return None;
    }
    let (_app_id, _issuer) = (input.bytes()?, input.bytes()?);
    let mut record = SessionRecord {
        registration,
        session_id: SessionId::new(input.array()?),
        generation: u32::try_from(input.number()?).ok()?,
        subject: input.text()?,
        op_sid: input.maybe()?,
        auth_time: Some(input.number()?).filter(|at| *at != u64::MAX).map(Timestamp),
        acr: input.maybe()?,
        created: Timestamp(input.number()?),
        expires: Timestamp(input.number()?),
        sealed_at: Timestamp(input.number()?),
        access_token: Secret::new(input.token()?),
        access_expires: Timestamp(input.number()?),
        refresh_token: match input.byte()? {
            0 => None,
            1 => Some(Secret::new(input.token()?)),
            _ => return None,
        },
        proof_key: None,
        scope: input.maybe()?,
        claims: input.text()?,
        id_token: None,
        extensions: input.extensions()?,
    };
    if let Some(index) = record.extensions.iter().position(|(tag, _)| *tag == PROOF_KEY) {
        record.proof_key = Some(Secret::new(record.extensions.remove(index).1));
    }
    Some(record)
}

/// Encodes a login attempt.
pub fn encode_login(attempt: &LoginAttempt) -> Vec<u8> {
    let mut out = Writer(vec![RECORD.writes]);
    out.text(&attempt.state);
    out.text(&attempt.nonce);
    out.text(attempt.verifier.expose());
    out.text(&attempt.return_to);
    out.number(attempt.started.0);
    out.number(attempt.max_age.unwrap_or(u64::MAX));
    out.maybe(attempt.acr_values.as_deref());
    match &attempt.replaces {
        Some(Replaced { id, expires, token, .. }) => {
            out.0.push(if token.is_some() { 2 } else { 1 });
            out.raw(id.as_bytes());
            out.number(expires.0);
            if let Some(token) = token {
                out.token(token.expose());
            }
        }
        None => out.0.push(0),
    }
    out.maybe(attempt.scope.as_deref());
    // Whose the replaced session is, where that is not who is asked now.
    let other = attempt.replaces.as_ref().map(|old| old.registration);
    match other.filter(|other| *other != attempt.registration) {
        Some(other) => {
            out.0.push(1);
            out.raw(other.as_bytes());
        }
        None => out.0.push(0),
    }
    out.0.push(u8::from(attempt.silent));
    out.padded()
}

/// Decodes a login attempt that was sealed for `registration`.
pub fn decode_login(bytes: &[u8], registration: Registration) -> Option<LoginAttempt> {
    let mut input = Reader(bytes);
    if !RECORD.can_read(input.byte()?) {
        return None;
    }
    let mut attempt = LoginAttempt {
        registration,
        state: input.text()?,
        nonce: input.text()?,
        verifier: Secret::new(input.text()?),
        return_to: input.text()?,
        started: Timestamp(input.number()?),
        max_age: Some(input.number()?).filter(|age| *age != u64::MAX),
        acr_values: input.maybe()?,
        replaces: match input.byte()? {
            0 => None,
            kind @ (1 | 2) => Some(Replaced {
                id: SessionId::new(input.array()?),
                registration,
                expires: Timestamp(input.number()?),
                token: if kind == 2 { Some(Secret::new(input.token()?)) } else { None },
            }),
            _ => return None,
        },
        scope: None,
        silent: false,
    };
    // Releases before it wrote nothing here but the padding, or not even that.
    attempt.scope = input.maybe().flatten();
    if let (Some(1), Some(replaced)) = (input.byte(), &mut attempt.replaces) {
        replaced.registration = Registration::new(input.array()?);
    }
    attempt.silent = input.byte() == Some(1);
    Some(attempt)
}

/// Encodes a token with the time it was sealed: logout hint and ticket.
pub fn encode_timed(token: Option<&str>, at: Timestamp) -> Vec<u8> {
    let mut out = Writer(vec![RECORD.writes]);
    out.number(at.0);
    match token {
        Some(token) => {
            out.0.push(1);
            out.token(token);
        }
        None => out.0.push(0),
    }
    out.padded()
}

/// Decodes what [`encode_timed`] made.
pub fn decode_timed(bytes: &[u8]) -> Option<(Option<Secret<String>>, Timestamp)> {
    let mut input = Reader(bytes);
    if !RECORD.can_read(input.byte()?) {
        return None;
    }
    let at = Timestamp(input.number()?);
    let token = match input.byte()? {
        0 => None,
        _ => Some(Secret::new(input.token()?)),
    };
    Some((token, at))
}

struct Writer(Vec<u8>);

impl Writer {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// LEB128.
    fn number(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 0x7f);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        match text {
            Some(text) => {
                self.0.push(1);
                self.text(text);
            }
            None => self.0.push(0),
        }
    }

    /// A JWT is three base64url parts: stored decoded it is a quarter smaller. Anything else is stored as it is.
    fn token(&mut self, token: &str) {
        let Some(parts) = unpack(token) else {
            self.0.push(0);
            return self.text(token);
        };
        self.0.push(1);
        self.number(parts.len() as u64);
        for part in parts {
            self.bytes(&part);
        }
    }

    fn padded(mut self) -> Vec<u8> {
        self.0.resize(self.0.len().div_ceil(STEP) * STEP, 0);
        self.0
    }
}

/// The decoded parts, only if encoding them again gives exactly `token`.
fn unpack(token: &str) -> Option<Vec<Vec<u8>>> {
    let decode = |part: &str| URL_SAFE_NO_PAD.decode_to_vec(part).ok();
    let parts: Vec<Vec<u8>> = token.split('.').map(decode).collect::<Option<_>>()?;
    let again = pack(parts.iter().map(Vec::as_slice), token.len());
    ((2..=MOST_PARTS).contains(&parts.len()) && again == token).then_some(parts)
}

/// Writes the parts in base64url with dots between; `length` in bytes, or a copy of a token would be left behind by growing.
fn pack<'a>(parts: impl Iterator<Item = &'a [u8]>, length: usize) -> String {
    let mut token = text_room(length);
    for (at, part) in parts.enumerate() {
        if at > 0 {
            token.push('.');
        }
        URL_SAFE_NO_PAD.encode_append(part, &mut token);
    }
    token
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    /// The outer `Option` is "broken", the inner one "absent".
    #[expect(clippy::option_option, reason = "broken and absent are two answers")]
    fn maybe(&mut self) -> Option<Option<String>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(self.text()?)),
            _ => None,
        }
    }

    fn token(&mut self) -> Option<String> {
        if self.byte()? == 0 {
            return self.text();
        }
        let count = self.number()?;
        if count > MOST_PARTS as u64 {
            return None;
        }
        let parts: SmallVec<[&[u8]; MOST_PARTS]> =
            (0..count).map(|_| self.bytes()).collect::<Option<_>>()?;
        let length = parts.iter().map(|part| URL_SAFE_NO_PAD.encoded_length(part.len()) + 1).sum();
        Some(pack(parts.iter().copied(), length))
    }

    fn extensions(&mut self) -> Option<Vec<(u16, Vec<u8>)>> {
        let count = self.number()?;
        if count > 64 {
            return None;
        }
        (0..count)
            .map(|_| Some((u16::try_from(self.number()?).ok()?, self.bytes()?.to_vec())))
            .collect()
    }
}
