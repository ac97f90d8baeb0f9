//! Builder methods of settings, named like their fields.

/// For each field named a method that sets it and gives the settings back: `into` fields take what becomes their value,
/// `option` fields a value or an `Option` of one.
macro_rules! setters {
    (
        $owner:ty { $($field:ident: $kind:ty),* $(,)? }
        $(into { $($given:ident: $made:ty),* $(,)? })?
        $(option { $($wish:ident: $value:ty),* $(,)? })?
    ) => {
        impl $owner {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $kind) -> Self {
                    self.$field = $field;
                    self
                }
            )*
            $($(
                #[doc = concat!("Sets [`", stringify!($given), "`](Self#structfield.", stringify!($given), ").")]
                #[must_use]
                pub fn $given(mut self, $given: impl Into<$made>) -> Self {
                    self.$given = $given.into();
                    self
                }
            )*)?
            $($(
                #[doc = concat!("Sets [`", stringify!($wish), "`](Self#structfield.", stringify!($wish), "); `None` unsets it.")]
                #[must_use]
                pub fn $wish(mut self, $wish: impl Into<Option<$value>>) -> Self {
                    self.$wish = $wish.into();
                    self
                }
            )*)?
        }
    };
}

pub(crate) use setters;
