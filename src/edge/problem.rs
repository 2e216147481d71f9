//! Makes error answers: RFC 9457 problem documents, or a small page when a person looks at it.
//! Never holds text from outside: codes and words are ours.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use super::auth_error::AuthError;
use super::code::Code;
use super::headers::{Kind, harden};
use super::pages;
use crate::guard::Refusal;

/// Tells the SPA that an error is Cloakroom's own, not the API's.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("cloakroom-error");

/// An error on its way to the browser.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    cause: Option<AuthError>,
    retry_after: Option<u32>,
    allow: Option<String>,
    home: Option<String>,
    missing: Vec<String>,
    login: Option<Box<LoginWish>>,
}

/// The login that would help.
#[derive(Debug, serde::Serialize)]
pub struct LoginWish {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr_values: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Starts it, when the place to come back to is added; `None` where the app does not allow its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_url: Option<String>,
}

impl Problem {
    /// A problem with the code's status and words.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            cause: None,
            retry_after: None,
            allow: None,
            home: None,
            missing: Vec::new(),
            login: None,
        }
    }

    /// Says when to try again, in seconds.
    pub fn with_retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Lists the methods that work: `GET, HEAD` (RFC 9110 §15.5.6).
    pub fn with_allow(self, methods: impl Into<String>) -> Self {
        Self { allow: Some(methods.into()), ..self }
    }

    /// Says what keeps a login from working.
    pub fn with_cause(self, cause: AuthError) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Names what the login lacks: scopes or claims, as configured; never what they hold.
    pub fn with_missing(self, names: Vec<String>) -> Self {
        Self { missing: names, ..self }
    }

    /// Says what a login must have that would help (RFC 9470).
    pub fn with_login(self, wish: LoginWish) -> Self {
        Self { login: Some(Box::new(wish)), ..self }
    }

    /// Where a page's button leads: the app, as configured; `/` without it.
    pub fn with_home(self, url: &str) -> Self {
        Self { home: Some(url.to_owned()), ..self }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// The scopes or claims that the login lacks, by name.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// The answer: a page for a navigation (`html`), else a problem document.
    pub fn response(&self, request_id: &str, html: bool) -> HttpResponse {
        let status = StatusCode::from_u16(self.code.status());
        let mut response = HttpResponse::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        let (kind, media_type, body) = if html {
            (Kind::Page, "text/html; charset=utf-8", self.page(request_id))
        } else {
            (Kind::Own, "application/problem+json", self.document(request_id))
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.code()));
        if self.code == Code::BadHandshake {
            // RFC 6455 §4.2.2: whoever speaks another version learns which one is spoken here.
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(header::ALLOW, allow);
        }
        if html {
            pages::policy(headers);
        }
        harden(headers, kind, false);
        response.set_body(actix_web::body::BoxBody::new(body))
    }

    fn document(&self, request_id: &str) -> String {
        let document = Document {
            kind: "about:blank",
            title: self.code.title(),
            status: self.code.status(),
            detail: self.cause.map_or(self.code.mend(), AuthError::mend),
            code: self.code(),
            cause: self.cause.map(AuthError::as_str),
            missing: &self.missing,
            login: self.login.as_deref(),
            request_id,
        };
        // Plain strings and numbers: this cannot fail, and an empty body would still carry the code in its header.
        serde_json::to_string(&document).unwrap_or_default()
    }

    fn page(&self, request_id: &str) -> String {
        let mend = self.cause.map_or(self.code.mend(), AuthError::mend);
        let code = self.cause.map_or(self.code(), AuthError::as_str);
        let home = self.home.as_deref().unwrap_or("/");
        pages::error_page(self.code.title(), mend, (code, home), request_id)
    }
}

#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    missing: &'a [String],
    #[serde(flatten)]
    login: Option<&'a LoginWish>,
    request_id: &'a str,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Code::of_refusal(refusal.code()))
    }
}
