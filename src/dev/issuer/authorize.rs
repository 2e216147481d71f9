//! The authorization endpoint and the two forms behind it. Decides what happens next to an authorization request:
//! ask for login, ask for consent, refuse, or send a code. Never redirects anywhere but to the registered URI.

use actix_session::Session;
use actix_web::http::header::{HeaderName, HeaderValue, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::dev::users::User;

use super::Issuer;
use super::answer::redirect;
use super::grants::{Approval, CodeBinding};
use super::login_page::{consent_page, login_page, refusal_page};
use super::params::Params;
use super::request::{AuthorizationRequest, ErrorResponse, Refusal};
use super::sign_on::SignOn;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `GET /authorize`
pub async fn by_query(
    issuer: web::Data<Issuer>,
    session: Session,
    request: HttpRequest,
) -> HttpResponse {
    match AuthorizationRequest::parse(request.query_string().as_bytes(), &issuer) {
        Ok(asked) => proceed(&issuer, &session, &asked),
        Err(refusal) => refuse(&issuer, refusal),
    }
}

/// `POST /authorize` (OpenID Connect Core 3.1.2.1)
pub async fn by_form(
    issuer: web::Data<Issuer>,
    session: Session,
    body: web::Bytes,
) -> HttpResponse {
    match AuthorizationRequest::parse(&body, &issuer) {
        Ok(asked) => proceed(&issuer, &session, &asked),
        Err(refusal) => refuse(&issuer, refusal),
    }
}

/// `POST /login`: the user has pressed a button of the login page; the query is the authorization request.
pub async fn login(
    issuer: web::Data<Issuer>,
    session: Session,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let (asked, form) = match own_form(&issuer, &request, &body) {
        Ok(found) => found,
        Err(refusal) => return refuse(&issuer, refusal),
    };
    let Some(user) = form.get("user").and_then(User::find) else {
        return refusal_page("the user is not known");
    };
    let now = issuer.now();
    let earlier = SignOn::current(&session, now).filter(|earlier| earlier.sub == user.sub);
    let signed_on = SignOn {
        sub: user.sub.to_owned(),
        sid: issuer.random.token::<16>(),
        auth_time: now.0,
        consented: earlier.map(|earlier| earlier.consented).unwrap_or_default(),
        login_for: Some(digest(&asked)),
        consent_for: None,
    };
    advance(&issuer, &session, &asked, Some(signed_on))
}

/// `POST /consent`: the user has answered the consent page; the query is the authorization request.
pub async fn consent(
    issuer: web::Data<Issuer>,
    session: Session,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let (asked, form) = match own_form(&issuer, &request, &body) {
        Ok(found) => found,
        Err(refusal) => return refuse(&issuer, refusal),
    };
    if form.get("consent") != Some("yes") {
        let denied = asked.refused("access_denied", "the user said no");
        return refuse(&issuer, Refusal::Redirect(denied));
    }
    let mut signed_on = SignOn::current(&session, issuer.now());
    if let Some(signed_on) = &mut signed_on {
        signed_on.consented = format!("{} {}", signed_on.consented, asked.scope);
        signed_on.consented = dedup_words(&signed_on.consented);
        signed_on.consent_for = Some(digest(&asked));
    }
    advance(&issuer, &session, &asked, signed_on)
}

/// What happens next to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Login,
    Consent,
    Refuse(&'static str),
    Code,
}

fn decide(
    asked: &AuthorizationRequest,
    signed_on: Option<&SignOn>,
    asks_consent: bool,
    now: Timestamp,
) -> Step {
    let digest = digest(asked);
    let Some(user) = signed_on.filter(|user| user.suffices_for(asked, &digest, now)) else {
        return if asked.prompt.none { Step::Refuse("login_required") } else { Step::Login };
    };
    let consent_wanted = asks_consent || asked.prompt.consent;
    if consent_wanted && !user.has_consented_to(asked, &digest) {
        return if asked.prompt.none { Step::Refuse("consent_required") } else { Step::Consent };
    }
    Step::Code
}

fn proceed(issuer: &Issuer, session: &Session, asked: &AuthorizationRequest) -> HttpResponse {
    advance(issuer, session, asked, SignOn::current(session, issuer.now()))
}

fn advance(
    issuer: &Issuer,
    session: &Session,
    asked: &AuthorizationRequest,
    signed_on: Option<SignOn>,
) -> HttpResponse {
    let step = decide(asked, signed_on.as_ref(), issuer.options.consent, issuer.now());
    match (step, signed_on) {
        (Step::Refuse(error), _) => refuse(
            issuer,
            Refusal::Redirect(asked.refused(error, "the user would have to be asked")),
        ),
        (Step::Consent, Some(user)) => {
            user.keep(session);
            consent_page(issuer, asked, &user)
        }
        (Step::Code, Some(mut user)) => {
            (user.login_for, user.consent_for) = (None, None);
            user.keep(session);
            send_code(issuer, asked, user)
        }
        (_, _) => login_page(issuer, asked),
    }
}

fn send_code(issuer: &Issuer, asked: &AuthorizationRequest, user: SignOn) -> HttpResponse {
    let code = issuer.random.token::<32>();
    let binding = CodeBinding {
        redirect_uri: asked.redirect_uri.clone(),
        code_challenge: asked.code_challenge.clone(),
    };
    let approval = Approval {
        sub: user.sub,
        scope: asked.scope.clone(),
        nonce: asked.nonce.clone(),
        auth_time: Timestamp(user.auth_time),
        sid: user.sid,
        confirmed: asked.confirm,
    };
    issuer.grants().add_code(&code, binding, approval, issuer.now());
    respond(issuer, &asked.redirect_uri, asked.state.as_deref(), &[("code", &code)])
}

fn refuse(issuer: &Issuer, refusal: Refusal) -> HttpResponse {
    match refusal {
        Refusal::Page(text) => refusal_page(text),
        Refusal::Redirect(ErrorResponse { redirect_uri, state, error, description }) => {
            let params = [("error", error), ("error_description", description)];
            respond(issuer, &redirect_uri, state.as_deref(), &params)
        }
    }
}

/// Every authorization response names its issuer (RFC 9207), so that a client with two of them cannot be confused.
fn respond(
    issuer: &Issuer,
    redirect_uri: &str,
    state: Option<&str>,
    params: &[(&str, &str)],
) -> HttpResponse {
    let mut params = params.to_vec();
    params.extend(state.map(|state| ("state", state)));
    params.push(("iss", &issuer.url));
    redirect(redirect_uri, &params)
}

/// A form that one of our pages has posted: other sites must not log a browser in (login CSRF) or consent for it.
fn own_form(
    issuer: &Issuer,
    request: &HttpRequest,
    body: &[u8],
) -> Result<(AuthorizationRequest, Params), Refusal> {
    let is = |name: HeaderName, wanted: &str| {
        request
            .headers()
            .get(name)
            .map(HeaderValue::as_bytes)
            .is_none_or(|v| v == wanted.as_bytes())
    };
    if !is(SEC_FETCH_SITE, "same-origin") || !is(ORIGIN, &issuer.url) {
        return Err(Refusal::Page("the form comes from another site"));
    }
    let asked = AuthorizationRequest::parse(request.query_string().as_bytes(), issuer)?;
    let form = Params::parse(body).map_err(|_| Refusal::Page("a parameter came twice"))?;
    Ok((asked, form))
}

fn digest(asked: &AuthorizationRequest) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(asked.query.as_bytes()))
}

fn dedup_words(text: &str) -> String {
    let words: std::collections::BTreeSet<&str> = text.split_whitespace().collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}
