//! The kinds of personal data that are looked for in any text, with the words that stand near them.

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `anna@example.org`.
    EmailAddress,
    /// `+49 30 1234567`, `(089) 966306-55`, `0171/8508095`.
    PhoneNumber,
    /// An account, with mod 97 and its country's structure.
    Iban,
    /// A payment card, with Luhn's check and its issuer's prefix.
    PaymentCard,
    /// IPv4 and IPv6.
    IpAddress,
    /// A network card.
    MacAddress,
    /// A Bitcoin address, with its checksum.
    CryptoAddress,
    /// Steuerliche Identifikationsnummer.
    DeTaxId,
    /// Steuernummer.
    DeTaxNumber,
    /// Sozialversicherungs- or Rentenversicherungsnummer.
    DeSocialSecurity,
    /// Krankenversichertennummer.
    DeHealthInsurance,
    /// Personalausweis.
    DeIdCard,
    /// Reisepass.
    DePassport,
    /// Umsatzsteuer-Identifikationsnummer.
    DeVatId,
    /// Kfz-Kennzeichen.
    DeLicencePlate,
    /// Lebenslange Arztnummer.
    DePhysician,
    /// Betriebsstättennummer.
    DePractice,
    /// Postleitzahl.
    DePostcode,
    /// Handelsregisternummer.
    DeCommercialRegister,
    /// Führerscheinnummer.
    DeDrivingLicence,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Kind; 20] = [
        Kind::EmailAddress,
        Kind::PhoneNumber,
        Kind::Iban,
        Kind::PaymentCard,
        Kind::IpAddress,
        Kind::MacAddress,
        Kind::CryptoAddress,
        Kind::DeTaxId,
        Kind::DeTaxNumber,
        Kind::DeSocialSecurity,
        Kind::DeHealthInsurance,
        Kind::DeIdCard,
        Kind::DePassport,
        Kind::DeVatId,
        Kind::DeLicencePlate,
        Kind::DePhysician,
        Kind::DePractice,
        Kind::DePostcode,
        Kind::DeCommercialRegister,
        Kind::DeDrivingLicence,
    ];

    /// Its name in marks, settings and `redaction_finding`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::EmailAddress => "email_address",
            Kind::PhoneNumber => "phone_number",
            Kind::Iban => "iban",
            Kind::PaymentCard => "payment_card",
            Kind::IpAddress => "ip_address",
            Kind::MacAddress => "mac_address",
            Kind::CryptoAddress => "crypto_address",
            Kind::DeTaxId => "de_tax_id",
            Kind::DeTaxNumber => "de_tax_number",
            Kind::DeSocialSecurity => "de_social_security",
            Kind::DeHealthInsurance => "de_health_insurance",
            Kind::DeIdCard => "de_id_card",
            Kind::DePassport => "de_passport",
            Kind::DeVatId => "de_vat_id",
            Kind::DeLicencePlate => "de_licence_plate",
            Kind::DePhysician => "de_physician",
            Kind::DePractice => "de_practice",
            Kind::DePostcode => "de_postcode",
            Kind::DeCommercialRegister => "de_commercial_register",
            Kind::DeDrivingLicence => "de_driving_licence",
        }
    }

    /// The kind of a name.
    pub fn of(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Words near it that settle what a number is, in small letters. Those of up to four letters stand as words of
    /// their own, the others also within longer ones.
    pub fn context(self) -> &'static [&'static str] {
        match self {
            Kind::PhoneNumber => &[
                "tel",
                "fon",
                "telefon",
                "phone",
                "mobil",
                "handy",
                "fax",
                "telefax",
                "rufnummer",
                "anruf",
                "call",
                "msisdn",
                "whatsapp",
                "durchwahl",
            ],
            Kind::PaymentCard => &["karte", "card", "visa", "mastercard", "maestro", "amex", "pan", "diners", "cc"],
            Kind::MacAddress => {
                &["mac", "macs", "hardware", "ethernet", "ether", "bssid", "lladdr", "physical", "hwaddr"]
            }
            Kind::DeTaxId => &[
                "steuer-id",
                "steuerid",
                "steueridentifikation",
                "steuerliche identifikation",
                "idnr",
                "id-nr",
                "tin",
                "identifikationsnummer",
                "tax id",
                "tax-id",
                "tax_id",
                "taxid",
                "steuer-ident",
                "steuernummer",
                "steuer_id",
            ],
            Kind::DeTaxNumber => &[
                "steuernummer",
                "steuer-nr",
                "steuernr",
                "steuer-nummer",
                "st.-nr",
                "st-nr",
                "stnr",
                "st.nr",
                "finanzamt",
                "tax number",
                "tax_number",
                "taxnumber",
                "tax no",
                "steuer_nr",
                "steuer_nummer",
            ],
            Kind::DeSocialSecurity => &[
                "rvnr",
                "svnr",
                "rv-n",
                "sv-n",
                "rentenversicherung",
                "sozialversicherung",
                "versicherungsnummer",
                "social security",
                "social_security",
                "pension",
                "vsnr",
            ],
            Kind::DeHealthInsurance => &[
                "kvnr",
                "krankenversicher",
                "krankenkasse",
                "versichertennummer",
                "versicherten",
                "gesundheitskarte",
                "egk",
                "health insurance",
                "health_insurance",
                "kv-nr",
                "kv-n",
            ],
            Kind::DeIdCard => &[
                "ausweis",
                "perso",
                "identity card",
                "id card",
                "id-card",
                "id_card",
                "idcard",
                "dokumentennummer",
                "identitätskarte",
                "national id",
            ],
            Kind::DePassport => &["pass", "reisepass", "passport", "passnummer", "passnr", "pass-nr", "reisedokument"],
            Kind::DeVatId => &["ust", "vat", "umsatzsteuer", "ustid", "ust-id", "vat_id", "mwst", "uid"],
            Kind::DeLicencePlate => &[
                "kennzeichen",
                "kfz",
                "fahrzeug",
                "auto",
                "pkw",
                "lkw",
                "plate",
                "nummernschild",
                "vehicle",
                "wagen",
                "fahrer",
                "halter",
                "zugelassen",
            ],
            Kind::DePhysician => &["lanr", "arztnummer", "arzt", "physician", "ärztin", "arztnr"],
            Kind::DePractice => &["bsnr", "betriebsst", "nbsnr", "praxis"],
            Kind::DePostcode => &["plz", "postleitzahl", "postal code", "postcode", "zip", "postal_code", "zipcode"],
            Kind::DeCommercialRegister => &["handelsregister", "amtsgericht", "registergericht", "register court"],
            Kind::DeDrivingLicence => &[
                "führerschein",
                "fuehrerschein",
                "fahrerlaubnis",
                "driving licence",
                "driving license",
                "driver's licen",
                "driver licen",
                "driving_licen",
                "driver_licen",
            ],
            Kind::EmailAddress | Kind::Iban | Kind::IpAddress | Kind::CryptoAddress => &[],
        }
    }
}

/// Some of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u32);

impl Kinds {
    /// All of them.
    pub fn all() -> Kinds {
        Kind::ALL.into_iter().collect()
    }

    /// Whether the kind is among them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 >> kind as u32 & 1 == 1
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<T: IntoIterator<Item = Kind>>(kinds: T) -> Kinds {
        Kinds(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u32))
    }
}
