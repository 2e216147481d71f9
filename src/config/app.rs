//! One app: its origins, its pages, who may call, and its other sections put together.

use super::location::{is_own, parse_page, parse_prefix};
use super::origin::{parse_origin, same_site};
use super::quantity::rate;
use super::raw::RawApp;
use super::raw::{RawGuard, RawLimits, RawLogin, RawLogout};
use super::report::{At, every, unique};
use super::types::{AppConfig, GuardConfig, LimitsConfig, LoginConfig, LogoutConfig};
use super::types::{PublicUrl, RouteConfig};
use super::words::{is_token, parse_choice, parse_csrf_header};
use super::{agreement, providers, quantity, routes, session, spa};

/// Turns the sections of one app into its configuration. `at` is what holds the sections, `public_at` is
/// `public_url`, which stands in `[server]` when there is only one app.
pub(super) fn app(at: &At<'_>, public_at: &At<'_>, raw: &RawApp) -> Option<AppConfig> {
    let section = at.key("app");
    let id = app_id(&section.key("id"), &raw.app.id);
    let path = section.key("path").take(parse_prefix(&raw.app.path));
    let base_path = section.key("base_path").take(parse_prefix(&raw.app.base_path));
    let base_path = path.as_ref().zip(base_path).map(|(path, base)| format!("{path}{base}"));
    let home = match (&path, &raw.app.url) {
        (Some(path), None) => format!("{path}/"),
        _ => "/".to_owned(),
    };
    let public = public_url(public_at, raw.public_url.as_deref());
    let app_origin = app_origin(&section.key("url"), raw.app.url.as_deref(), public.as_ref());
    let own = base_path.as_deref().filter(|_| raw.app.url.is_none());
    let page = |at: At<'_>, text: &str| {
        if at.is_written() { page(&at, text, own) } else { Some(home.clone()) }
    };
    let error_path = page(section.key("error_path"), &raw.app.error_path);
    let signed_out = page(section.key("signed_out_path"), &raw.app.signed_out_path);
    let providers = providers::providers(at, &raw.provider, &raw.providers);
    let login = login(&at.key("login"), &raw.login);
    let logout = logout(&at.key("logout"), &raw.logout);
    let session = session::session(&at.key("session"), &raw.session);
    let guard = guard(&at.key("guard"), &raw.guard, public.as_ref(), app_origin.as_deref());
    let limits = limits(&at.key("limits"), &raw.limits);
    let routes = routes::routes(&at.key("routes"), &raw.routes, base_path.as_deref());
    let routes = inside(&at.key("routes"), routes, path.as_deref());
    let routes = routes.zip(providers.as_deref()).and_then(|(routes, providers)| {
        agreement::agreed(&at.key("routes"), &raw.routes, routes, providers)
    });
    let spa = match &raw.spa {
        Some(raw) => Some(spa::spa(&at.key("spa"), raw)?),
        None => None,
    };
    Some(AppConfig {
        id: id?,
        public_url: public?,
        path: path?,
        home,
        base_path: base_path?,
        app_origin: app_origin?,
        error_path: error_path?,
        signed_out_path: signed_out?,
        providers: providers?,
        login: login?,
        logout: logout?,
        session: session?,
        guard: guard?,
        limits: limits?,
        routes: routes?,
        spa,
    })
}

/// The routes, all of which are below the app's own path: another app has the rest.
fn inside(
    at: &At<'_>,
    routes: Option<Vec<RouteConfig>>,
    path: Option<&str>,
) -> Option<Vec<RouteConfig>> {
    let (routes, path) = (routes?, path?);
    let is_inside = |route: &RouteConfig| {
        let rest = route.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if routes.iter().all(is_inside) {
        return Some(routes);
    }
    let mend = "write whole paths, e.g. \"/shop/api\" for an app at \"/shop\"";
    at.fail("a route is not below the app's own path", mend)
}

/// Notes every app whose id, place or deny file another has: ids keep cookies apart, hosts select the app (and paths, where apps
/// share an origin by `is_shared`), and a deny file has one writer.
pub(super) fn distinct(at: &At<'_>, apps: &[RawApp], is_shared: bool) {
    let ids: Vec<&str> = apps.iter().map(|app| app.app.id.as_str()).collect();
    let hosts: Vec<Option<&str>> = apps.iter().map(|app| host(app.public_url.as_deref())).collect();
    for (index, (id, host)) in ids.iter().zip(&hosts).enumerate() {
        let app = at.item(index);
        if ids.iter().take(index).any(|earlier| earlier == id) {
            app.key("app.id").fail::<()>("another app has this id", "give each app its own id");
        }
        let file = |app: &RawApp| app.session.deny_file.clone();
        let own = apps.get(index).and_then(file);
        if own.is_some() && apps.iter().take(index).any(|earlier| file(earlier) == own) {
            let mend = "give each app its own file";
            app.key("session.deny_file").fail::<()>("another app has this file", mend);
        }
        let earlier = hosts.iter().copied().zip(apps).take(index);
        let mut beside = earlier.filter(|(other, _)| host.is_some() && *other == *host).peekable();
        let own_path = apps.get(index).map(|app| &app.app.path);
        if beside.peek().is_some() && !is_shared {
            let mend = "give each its own host; or, if they may trust each other entirely, set \
                        server.shared_origin = true and give each its own app.path";
            app.key("public_url").fail::<()>("another app has this host", mend);
        } else if beside.any(|(_, earlier)| Some(&earlier.app.path) == own_path) {
            let mend = "give each its own path";
            app.key("app.path").fail::<()>("another app on this host has this path", mend);
        }
    }
}

fn host(url: Option<&str>) -> Option<&str> {
    url?.split_once("://").map(|(_, host)| host)
}

fn app_id(at: &At<'_>, text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(plain);
    if !fits || text.starts_with('-') || text.ends_with('-') {
        return at.fail("not an app id", "use 1 to 32 of a-z, 0-9 and -, e.g. \"shop\"");
    }
    Some(text.to_owned())
}

fn public_url(at: &At<'_>, text: Option<&str>) -> Option<PublicUrl> {
    let mend = "write where browsers reach the app, e.g. \"https://app.example.com\"";
    at.take(parse_origin(at.required(text, mend)?))
}

fn app_origin(at: &At<'_>, text: Option<&str>, public: Option<&PublicUrl>) -> Option<String> {
    match text {
        None => public.map(|public| public.origin.clone()),
        Some(text) => sibling(at, text, public),
    }
}

/// An origin that our cookies travel from: same-site with `public_url`.
fn sibling(at: &At<'_>, text: &str, public: Option<&PublicUrl>) -> Option<String> {
    let origin = at.take(parse_origin(text))?;
    if public.is_some_and(|public| !same_site(&origin, public)) {
        let mend =
            "use the same scheme and the same registrable domain, or the SPA gets no cookies";
        return at.fail("is not same-site with public_url", mend);
    }
    Some(origin.origin)
}

/// A page of the SPA. On our own origin it must not be one of our endpoints: that would redirect in circles.
fn page(at: &At<'_>, text: &str, base_path: Option<&str>) -> Option<String> {
    let path = at.take(parse_page(text))?;
    if base_path.is_some_and(|base| is_own(&path, base)) {
        return at.fail("is one of the own endpoints", "name a page of the SPA");
    }
    Some(path)
}

fn login(at: &At<'_>, raw: &RawLogin) -> Option<LoginConfig> {
    const KNOWN: [&str; 6] =
        ["prompt", "login_hint", "ui_locales", "acr_values", "max_age", "scope"];
    const MEND: &str = "use prompt, login_hint, ui_locales, acr_values, max_age or scope";
    let list = at.key("allowed_params");
    let params =
        every(&list, &raw.allowed_params, |at, text| at.take(parse_choice(&KNOWN, MEND, text)));
    let distinct = unique(&list, &raw.allowed_params);
    let max_age = quantity::duration(&at.key("max_age"), &raw.max_age, 30..=10 * quantity::MINUTE);
    let window = quantity::duration(&at.key("loop_window"), &raw.loop_window, 1..=quantity::HOUR);
    distinct?;
    Some(LoginConfig {
        max_age: max_age?,
        max_parallel: raw.max_parallel,
        allowed_params: params?,
        loop_limit: raw.loop_limit,
        loop_window: window?,
        revoke_replaced: raw.revoke_replaced,
    })
}

fn logout(at: &At<'_>, raw: &RawLogout) -> Option<LogoutConfig> {
    let param = raw.redirect_param.clone();
    if !is_token(&param) || matches!(param.as_str(), "id_token_hint" | "state" | "client_id") {
        let mend = "write a name like \"post_logout_redirect_uri\" or \"returnTo\"";
        return at.key("redirect_param").fail("not the name of a return parameter", mend);
    }
    Some(LogoutConfig { mode: raw.mode, redirect_param: param, revoke: raw.revoke })
}

fn limits(at: &At<'_>, raw: &RawLimits) -> Option<LimitsConfig> {
    let login = rate(&at.key("login"), &raw.login);
    let callback = rate(&at.key("callback"), &raw.callback);
    let backchannel = rate(&at.key("backchannel"), &raw.backchannel);
    Some(LimitsConfig { login: login?, callback: callback?, backchannel: backchannel? })
}

fn guard(
    at: &At<'_>,
    raw: &RawGuard,
    public: Option<&PublicUrl>,
    app_origin: Option<&str>,
) -> Option<GuardConfig> {
    let csrf_header = at.key("csrf_header").take(parse_csrf_header(&raw.csrf_header));
    let list = at.key("origins");
    let distinct = unique(&list, &raw.origins);
    let further = every(&list, &raw.origins, |at, text| sibling(at, text, public));
    let mut origins = vec![public?.origin.clone(), app_origin?.to_owned()];
    origins.extend(further?);
    let mut seen = std::collections::BTreeSet::new();
    origins.retain(|origin| seen.insert(origin.clone()));
    distinct?;
    Some(GuardConfig { csrf_header: csrf_header?, origins })
}
