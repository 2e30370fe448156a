//! Layer 1: greeting, logging in, registering (mSIM 2.0, «Подключение и регистрация»).

use super::fields::from_base64;
use super::packet::LAYER_MAX;
use super::refusal::{self, Fault};
use super::{Keep, Understood};
use crate::domain::Registration;
use crate::domain::id::SessionId;
use crate::domain::words::Refusal;
use crate::limits::PASSWORD_BYTES_MAX;
use crate::wire::json::{Object, ObjectWriter};
use crate::wire::{Credentials, House, What};

const NO_INSTRUCTIONS: &str = "Nobody has written down how to get an account on this server. Ask \
                               the person who runs it.";
const NO_INSTRUCTIONS_OPEN: &str = "Anybody can get an account on this server: choose a login and \
                                    a password in a client that can register.";

/// What layer 1 lets a client ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Hello,
    AuthPlain,
    RegisterPlain,
    RegisterInstructions,
}

impl Request {
    pub const ALL: [Request; 4] =
        [Request::Hello, Request::AuthPlain, Request::RegisterPlain, Request::RegisterInstructions];

    pub fn parse(text: &str) -> Option<Request> {
        Request::ALL.into_iter().find(|request| request.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Request::Hello => "HELLO",
            Request::AuthPlain => "AUTH-PLAIN",
            Request::RegisterPlain => "REGISTER-PLAIN",
            Request::RegisterInstructions => "REGISTER-INSTRUCTIONS",
        }
    }
}

pub(super) fn understand(request: Request, body: &Object<'_>, house: &House) -> Understood {
    let what = match request {
        Request::Hello => {
            check_layer(body)?;
            What::Attach
        }
        Request::RegisterInstructions => What::Attach,
        Request::AuthPlain => {
            let login = house.own_login(body.text_required("login")?);
            What::LogIn(Credentials { login, password: password(body)? })
        }
        Request::RegisterPlain => {
            let login = house
                .own_login(body.text_required("login")?)
                .ok_or(Fault::new(Refusal::BadLogin, "login"))?;
            let invite = body.text("invite")?.map(Box::from);
            let credentials = Credentials { login: Some(login), password: password(body)? };
            What::Register { credentials, invite, sealed: false, start: None }
        }
    };
    Ok((what, Keep::Nothing))
}

/// HELLO's own layer is information, but it must be one. With both fields
/// `highest-supported-layer` wins (decision 21).
fn check_layer(body: &Object<'_>) -> Result<(), Fault> {
    let old = body.integer("protocol-layer")?.map(|layer| (layer, "protocol-layer"));
    let new = body.integer("highest-supported-layer")?;
    match new.map(|layer| (layer, "highest-supported-layer")).or(old) {
        None | Some((Ok(1..), _)) => Ok(()),
        Some((Ok(0) | Err(_), field)) => {
            Err(Fault { refusal: Refusal::BadField, wrong: refusal::BAD_LAYER, field })
        }
    }
}

fn password(body: &Object<'_>) -> Result<Vec<u8>, Fault> {
    let bad = Fault::new(Refusal::BadPassword, "password");
    let text = body.text_required("password")?;
    // Four letters for three bytes.
    if PASSWORD_BYTES_MAX.div_ceil(3) * 4 < text.len() {
        return Err(bad);
    }
    let password = from_base64(text).ok_or(bad)?;
    let is_text = std::str::from_utf8(&password).is_ok();
    if password.is_empty() || PASSWORD_BYTES_MAX < password.len() || !is_text {
        return Err(bad);
    }
    Ok(password)
}

/// The body of what was done without a word to say about it.
pub(super) fn done(request: Request, house: &House, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    match request {
        Request::Hello => hello(house, &mut object),
        Request::RegisterInstructions => instructions(house, &mut object),
        Request::AuthPlain | Request::RegisterPlain => {}
    }
}

fn hello(house: &House, object: &mut ObjectWriter<'_>) {
    let methods: &[&str] = match house.config.registration {
        Registration::Open | Registration::Invite => &["REGISTER-PLAIN", "REGISTER-INSTRUCTIONS"],
        Registration::Closed => &["REGISTER-INSTRUCTIONS"],
    };
    object
        .number("highest-supported-layer", LAYER_MAX.into())
        .text("servername", &house.name)
        .flag("federated", false)
        .texts("supported-auth-methods", ["AUTH-PLAIN"])
        .texts("supported-register-methods", methods.iter().copied());
}

fn instructions(house: &House, object: &mut ObjectWriter<'_>) {
    let config = &house.config;
    let text = match (config.instructions.as_str(), config.registration) {
        ("", Registration::Open) => NO_INSTRUCTIONS_OPEN,
        ("", Registration::Invite | Registration::Closed) => NO_INSTRUCTIONS,
        (text, _) => text,
    };
    object.text("text", text);
    if !config.instructions_url.is_empty() {
        object.text("url", &config.instructions_url);
    }
}

pub(super) fn logged_in(session: &SessionId, body: &mut Vec<u8>) {
    ObjectWriter::new(body).text("sessid", &session.to_hex());
}
