//! sendmail
