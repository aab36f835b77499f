//! German licence plates: district, letters, number.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::kind::Kind;
use super::{Check, Found, Scan, Word};

/// Codes of districts in use or still valid, federal and state bodies among them.
const DISTRICTS: &str = "\
A AA AB ABG ABI AC AE AH AIB AIC AK ALF ALZ AM AN ANA ANG ANK AP APD AR ARN ART AS ASL ASZ AT AU AUR AW AZ AZE B BA BAD BAR \
BB BBG BBL BC BCH BD BE BED BER BF BGD BGL BH BI BID BIN BIR BIT BIW BK BKS BL BLB BLK BM BN BNA BO BOG BOH BOR BOT BP BRA \
BRB BRG BRI BRK BRL BRV BS BSB BSK BT BTF BUL BW BWL BYL BZ BZA C CA CAS CB CE CHA CLP CLZ CO COC COE CR CUX CW D DA DAH DAN \
DAU DB DBR DD DE DEG DEL DGF DH DI DIL DIN DIZ DKB DL DLG DM DN DO DON DS DU DUD DW DZ E EA EB EBE EBN EBS ECK ED EE EF EG \
EH EI EIC EIH EIL EIN EIS EL EM EMD EMS EN ER ERB ERH ERK ERZ ES ESB ESW EU EUT EW F FB FD FDB FDS FEU FF FFB FG FH FI FKB FL \
FLÖ FN FO FOR FR FRG FRI FRW FS FT FTL FW FZ FÜ FÜS G GA GAN GAP GC GD GDB GE GEL GEM GEO GER GF GG GHA GHC GI GK GL GLA GM \
GMN GN GNT GOA GOH GP GR GRA GRH GRI GRM GRS GRZ GS GT GTH GUB GUN GV GVM GW GZ GÖ GÜ H HA HAB HAL HAM HAS HB HBN HBS HC HCH \
HD HDH HDL HE HEB HEF HEI HEL HER HET HF HG HGN HGW HH HHM HI HIG HIP HK HL HM HMÜ HN HO HOG HOH HOL HOM HOR HOT HP HR HRO \
HS HSK HST HU HUS HV HVL HWI HX HY HZ HÖ HÖS IGB IK IL ILL IN IS IZ J JE JEV JL JÜL K KA KAR KB KC KE KEH KEL KEM KF KG KH KI \
KIB KK KL KLE KLZ KM KN KO KON KR KRU KS KT KU KUS KW KY KYF KÖN KÖT KÖZ KÜN L LA LAN LAU LB LBS LBZ LC LD LDK LDS LEO LER \
LEV LF LG LH LI LIB LIF LIP LL LM LN LOS LP LR LRO LSA LSN LSZ LU LUK LUP LWL LÖ LÖB LÜN M MA MAB MAI MAK MAL MB MC MD ME MED \
MEG MEI MEK MEL MER MET MG MGH MGN MH MHL MI MIL MK MKK ML MM MN MO MOD MOL MON MOS MQ MR MS MSE MSH MSP MST MTK MTL MVL MW \
MY MYK MZ MZG MÜ MÜB MÜR N NAB NAI NAU NB ND NDH NE NEA NEB NEC NEN NES NEW NF NH NI NIB NK NL NM NMB NMS NOH NOL NOM NOR NP \
NR NRW NT NU NVP NW NWM NY NZ NÖ OA OAL OB OBB OBG OC OCH OD OE OF OG OH OHA OHV OHZ OK OL OP OPR OR OS OSL OTW OVI OVL OVP \
OZ P PA PAF PAN PAR PB PCH PE PEG PF PI PIR PL PLÖ PM PN PR PRÜ PS PW PZ QFT QLB R RA RC RD RDG RE REG REH REI RG RH RI RID RIE \
RL RM RN RO ROD ROF ROK ROL ROS ROT ROW RP RPL RS RSL RT RU RV RW RZ RÜD RÜG S SAB SAD SAL SAN SAW SB SBG SBK SC SCZ SDH SDL \
SDT SE SEB SEE SEF SEL SFA SFB SFT SG SGH SH SHA SHG SHK SHL SI SIG SIH SIM SK SL SLE SLF SLG SLK SLN SLS SLZ SLÜ SM SMÜ SN SO \
SOB SOG SOK SON SP SPB SPN SR SRB SRO ST STA STB STD STE STH STL STO STW SU SUL SUW SW SWA SY SYK SZ SZB SÄK SÖM SÜW TBB TDO \
TE TET TF TG THL THW TIR TO TP TR TS TT TUT TÖL TÜ UB UE UEM UFF UH UL UM UN USI V VAI VB VEC VER VG VIB VIE VIT VK VL VOF VOH \
VR VS W WA WAF WAK WAN WAR WAT WB WBG WBS WDA WE WEB WED WEG WEL WEN WER WES WF WG WHV WI WIL WIS WIT WIZ WK WL WLG WM WMS WN \
WND WO WOB WOH WOL WOR WOS WR WRN WS WSF WST WSW WT WTL WTM WUG WUN WUR WW WZ WZL WÜ WÜM X Y Z ZE ZEL ZI ZIG ZP ZR ZS ZW ZZ ÖHR";

/// Score of a plate of no district.
const NO_DISTRICT: u8 = 15;

/// The plate whose number is this word: `B-AB 1234`, `MIL EF 12E`, `m xy 999`.
pub fn plate(scan: &Scan<'_>, word: Word) -> Option<Found> {
    if word.len() > 5 || word.start < 4 || !scan.wanted.has(Kind::DeLicencePlate) {
        return None;
    }
    let number = &scan.bytes[word.start..word.end];
    // Electric and historic cars have a letter behind the number.
    let figures = number.strip_suffix(b"E").or(number.strip_suffix(b"H")).unwrap_or(number);
    let lower = number.strip_suffix(b"e").or(number.strip_suffix(b"h")).unwrap_or(figures);
    let fits = (1..=4).contains(&lower.len()) && lower.iter().all(u8::is_ascii_digit) && lower[0] != b'0';
    let second_sign = scan.bytes[word.start - 1];
    if !fits || !matches!(second_sign, b' ' | b'-') {
        return None;
    }
    let letters_start = run_before(scan, word.start - 1, 2)?;
    let first_sign = scan.bytes.get(letters_start.checked_sub(1)?).copied()?;
    if !matches!(first_sign, b' ' | b'-') {
        return None;
    }
    let start = run_before(scan, letters_start - 1, 3)?;
    let (district, letters) = (&scan.text[start..letters_start - 1], &scan.text[letters_start..word.start - 1]);
    let after = scan.after(word.end);
    let further = if after.is_ascii() { scan.after(word.end + 1) } else { ' ' };
    let before = scan.before(start);
    let touches = after.is_alphanumeric()
        || after == '_'
        || (matches!(after, '-' | '/' | '.') && further.is_alphanumeric())
        || matches!(before, '-' | '/' | '.' | '_');
    if touches || !letters.is_ascii() {
        return None;
    }
    let upper = district.chars().chain(letters.chars()).all(char::is_uppercase);
    // A dash behind the district and a space before the number, in capital letters, is how plates are written.
    let long = letters.len() + lower.len() >= 4;
    let written = upper && first_sign == b'-' && second_sign == b' ';
    let score = match is_district(district) {
        true if written && long => 60,
        true => 35,
        // No district's, as far as this list goes: a word near it must say what it is.
        false if written => NO_DISTRICT,
        false => {
            let kind = Kind::DeLicencePlate;
            return Some(Found { kind, start, end: word.end, score: NO_DISTRICT, check: Check::Absent });
        }
    };
    scan.judge(Kind::DeLicencePlate, start, word.end, score, Check::Absent)
}

/// Where the run of at most so many letters begins that ends there.
fn run_before(scan: &Scan<'_>, end: usize, most: usize) -> Option<usize> {
    let mut start = end;
    for _ in 0..most {
        let c = scan.before(start);
        if !c.is_alphabetic() {
            break;
        }
        start -= c.len_utf8();
    }
    (start < end && !scan.before(start).is_alphanumeric()).then_some(start)
}

fn is_district(code: &str) -> bool {
    static KNOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| DISTRICTS.split_whitespace().collect());
    KNOWN.contains(code) || KNOWN.contains(code.to_uppercase().as_str())
}
