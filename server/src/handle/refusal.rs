//! Refusals on the wire: the code, and the message where there is one.

use std::borrow::Cow;

use controller::Refusal;
use protocol::error::ErrorCode;

/// The error code of a result.
pub fn code_of<T>(result: &Result<T, Refusal>) -> i16 {
    let code = result.as_ref().err().map(|refusal| refusal.code);
    code.unwrap_or(ErrorCode::None).code()
}

/// The message of a refusal.
pub fn message_of<T>(result: Result<T, Refusal>) -> Option<Cow<'static, str>> {
    result.err()?.message.map(Cow::Owned)
}
