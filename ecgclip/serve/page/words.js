/** The words of the page in English and German. */

const WORDS = {
  // header
  skip: ["Skip to the content", "Zum Inhalt"],
  views: ["Views", "Ansichten"],
  ecg: ["ECG", "EKG"],
  search: ["Search", "Suche"],
  knowledge: ["Knowledge", "Wissen"],
  api: ["API", "API"],
  languages: ["Language", "Sprache"],
  dark: ["Dark", "Dunkel"],
  disclaimer: ["Research software, not a medical device.", "Forschungssoftware, kein Medizinprodukt."],
  about: ["ecgclip {0} · model {1} · threshold {2}", "ecgclip {0} · Modell {1} · Schwelle {2}"],
  // intake
  openEcg: ["Open an ECG", "Ein EKG öffnen"],
  what: [
    "ecgclip draws an ECG, measures it, and scores any condition that you name, with the criteria behind each" +
      " score. Everything stays with this page's server: nothing is sent elsewhere, nothing is kept.",
    "ecgclip zeichnet ein EKG, misst es aus und bewertet jeden Befund, den Sie nennen, mit den Kriterien " +
      "dahinter. Alles bleibt auf dem Server dieser Seite: nichts geht anderswohin, nichts wird behalten.",
  ],
  dropHere: ["Drop the files of an ECG here", "Dateien eines EKG hierher ziehen"],
  chooseFiles: ["Choose files", "Dateien wählen"],
  formats: [
    "WFDB (.hea together with its .dat), DICOM, SCP-ECG, HL7 aECG, EDF/BDF, GE MUSE, Philips, CardioSoft, " +
      "Mortara and Schiller XML, ISHNE, Apple and Kardia, PDF with curves, CSV, MATLAB, NumPy, HDF5, Parquet.",
    "WFDB (.hea zusammen mit .dat), DICOM, SCP-ECG, HL7 aECG, EDF/BDF, XML von GE MUSE, Philips, CardioSoft, " +
      "Mortara und Schiller, ISHNE, Apple und Kardia, PDF mit Kurven, CSV, MATLAB, NumPy, HDF5, Parquet.",
  ],
  limits: ["Up to {0} files and {1} MB together.", "Bis zu {0} Dateien und zusammen {1} MB."],
  examples: ["Or an example (simulated)", "Oder ein Beispiel (simuliert)"],
  reading: [
    "Sampling rate, unit or leads by hand (they overrule the files)",
    "Abtastrate, Einheit oder Ableitungen von Hand (statt der Angaben der Dateien)",
  ],
  samplingRate: ["Sampling rate (Hz)", "Abtastrate (Hz)"],
  unit: ["Unit", "Einheit"],
  leadNames: ["Leads, between commas", "Ableitungen, mit Komma getrennt"],
  readAgain: ["Read the files again", "Dateien erneut lesen"],
  asStated: ["as the file says", "wie in der Datei"],
  tooMany: ["Too many files: choose at most {0}.", "Zu viele Dateien: höchstens {0} wählen."],
  tooLarge: ["{0} MB are too much: at most {1} MB together.", "{0} MB sind zu viel: zusammen höchstens {1} MB."],
  needsSignal: [
    "{0} is a header alone: choose it together with its signal file (.dat).",
    "{0} ist nur der Kopf: bitte zusammen mit der Signaldatei (.dat) wählen.",
  ],
  records: ["Records", "Aufzeichnungen"],
  readingNow: ["Reading the ECG …", "Das EKG wird gelesen …"],
  working: ["Working …", "Wird berechnet …"],
  openedNow: ["{0} is open, heart rate {1} per minute.", "{0} ist geöffnet, Frequenz {1} pro Minute."],
  openOther: ["Open another ECG", "Anderes EKG öffnen"],
  print: ["Print", "Drucken"],
  noServer: [
    "No answer from ecgclip: is `ecgclip serve` still running?",
    "Keine Antwort von ecgclip: läuft `ecgclip serve` noch?",
  ],
  failed: ["The server refused (status {0}).", "Der Server hat abgelehnt (Status {0})."],
  // facts
  unknownPatient: ["age and sex unknown", "Alter und Geschlecht unbekannt"],
  years: ["{0} years", "{0} Jahre"],
  months: ["{0} months", "{0} Monate"],
  female: ["female", "weiblich"],
  male: ["male", "männlich"],
  leads: ["Leads", "Ableitungen"],
  lead: ["Lead", "Ableitung"],
  twelveLeads: ["12 leads", "12 Ableitungen"],
  allLeads: ["all", "alle"],
  measurements: ["Measurements", "Messwerte"],
  measurementsCaption: ["Medians beside the normal ranges of adults", "Mediane neben den Normbereichen Erwachsener"],
  childCaption: [
    "Medians; the normal ranges are those of adults, and are not shown for a child",
    "Mediane; die Normbereiche sind die Erwachsener und stehen nicht neben den Werten eines Kindes",
  ],
  measurement: ["Measurement", "Messgröße"],
  value: ["Value", "Wert"],
  normal: ["Normal", "Normal"],
  answer: ["Answer", "Antwort"],
  stCaption: ["ST level at J + 60 ms by lead, mV", "ST-Höhe bei J + 60 ms nach Ableitung, mV"],
  quality: ["Quality of the signal", "Qualität des Signals"],
  assumed: ["What was assumed", "Was angenommen wurde"],
  byHand: ["Given by hand: {0}", "Von Hand angegeben: {0}"],
  nothingAssumed: ["Nothing was assumed.", "Nichts wurde angenommen."],
  used: ["Analysed: {0} of {1} s", "Ausgewertet: {0} von {1} s"],
  masked: ["Not usable in all of it", "Nicht durchweg brauchbar"],
  derived: ["Computed from other leads", "Aus anderen Ableitungen berechnet"],
  "answer-met": ["met", "erfüllt"],
  "answer-unmet": ["unmet", "nicht erfüllt"],
  "answer-borderline": ["borderline", "grenzwertig"],
  "answer-not measurable": ["not measurable", "nicht messbar"],
  "answer-within": ["normal", "normal"],
  "answer-above": ["above", "darüber"],
  "answer-below": ["below", "darunter"],
  // answers
  paperTitle: ["The ECG", "Das EKG"],
  answersTitle: ["Findings and scores", "Befunde und Bewertungen"],
  findings: ["Stated findings", "Genannte Befunde"],
  nothingStated: ["Nothing is probable enough to be stated.", "Nichts ist wahrscheinlich genug für eine Aussage."],
  ask: ["Ask for conditions", "Nach Befunden fragen"],
  labelBox: ["Conditions, in English or German", "Befunde, auf Deutsch oder Englisch"],
  labelHelp: [
    "A name, abbreviation or code, such as WPW; or free words. Several between commas.",
    "Name, Abkürzung oder Code, etwa WPW; oder freie Worte. Mehrere mit Komma.",
  ],
  askButton: ["Ask", "Fragen"],
  chosen: ["Asked for", "Gefragt"],
  conditions: ["Conditions", "Befunde"],
  removed: ["{0} removed", "{0} entfernt"],
  remove: ["Remove {0}", "{0} entfernen"],
  askedAs: ["asked as “{0}”", "gefragt als „{0}“"],
  untrained: ["not trained: by its words and criteria", "nicht trainiert: nach Worten und Kriterien"],
  notMeasurable: ["not measurable", "nicht messbar"],
  threshold: ["threshold", "Schwelle"],
  byVector: ["by the waveform (model)", "nach der Kurve (Modell)"],
  byCriteria: ["by the criteria", "nach den Kriterien"],
  calibrated: ["had it in validation", "hatten es in der Validierung"],
  calibration: [
    "Of validation ECGs that scored about so, {0} had the condition (95% interval).",
    "Von Validierungs-EKGs mit etwa dieser Bewertung hatten {0} den Befund (95-%-Intervall).",
  ],
  uncalibrated: [
    "The model was not trained on real ECGs of this condition: there is no interval of calibration for it.",
    "Das Modell wurde nicht mit echten EKGs dieses Befunds trainiert: Ein Kalibrierungsintervall gibt es dafür nicht.",
  ],
  burden: [
    "over the threshold in {0} of {1} windows, at most {2}",
    "über der Schwelle in {0} von {1} Fenstern, höchstens {2}",
  ],
  lightUp: ["Show on the ECG", "Im EKG zeigen"],
  nothingToLight: ["Nothing on the ECG speaks for: {0}", "Nichts im EKG spricht für: {0}"],
  compare: ["Compare look-alikes", "Ähnliche vergleichen"],
  inKnowledge: ["Knowledge base", "Wissensbasis"],
  explainedAway: ["What is met may come from", "Was erfüllt ist, kann kommen von"],
  countsLess: ["It counts less.", "Es zählt weniger."],
  differential: ["Look-alikes of {0}, side by side", "{0} neben Ähnlichem"],
  askThis: ["Ask for this", "Danach fragen"],
  close: ["Close", "Schließen"],
  similarTitle: ["Similar ECGs", "Ähnliche EKGs"],
  findSimilar: ["Find similar ECGs in the index", "Ähnliche EKGs im Index suchen"],
  downloads: ["Download", "Herunterladen"],
  report: ["Report", "Bericht"],
  plot: ["Plot", "Bild"],
  // search
  searchTitle: ["Search", "Suche"],
  searchWhat: ["{0} ECGs, by what they show.", "{0} EKGs, nach dem, was sie zeigen."],
  words: ["Words, in English or German", "Worte, auf Deutsch oder Englisch"],
  without: ["Without", "Ohne"],
  howMany: ["How many", "Wie viele"],
  likeThis: ["like the ECG on screen", "ähnlich dem geöffneten EKG"],
  filters: ["Filters", "Filter"],
  ageFrom: ["Age from", "Alter ab"],
  ageTo: ["Age to", "Alter bis"],
  sex: ["Sex", "Geschlecht"],
  any: ["any", "beliebig"],
  hasLabel: ["Label holds", "Befund enthält"],
  where: ["Condition (SQL)", "Bedingung (SQL)"],
  whereHelp: [
    "Of record, start_s, seconds, leads, age, sex, report, labels, quality and your own columns: report LIKE " +
      "'%block%' AND seconds >= 10",
    "Aus record, start_s, seconds, leads, age, sex, report, labels, quality und eigenen Spalten: report LIKE " +
      "'%block%' AND seconds >= 10",
  ],
  searchButton: ["Search", "Suchen"],
  nothingToSearch: [
    "Type words to search for, or choose “like the ECG on screen”.",
    "Bitte Worte eingeben oder „ähnlich dem geöffneten EKG“ wählen.",
  ],
  understood: ["Understood as {0}.", "Verstanden als {0}."],
  hitsFound: ["{0} ECGs found.", "{0} EKGs gefunden."],
  at: ["at", "bei"],
  likeness: ["likeness", "Ähnlichkeit"],
  cosine: ["cosine", "Kosinus"],
  // knowledge
  kbTitle: ["Knowledge base", "Wissensbasis"],
  kbFilter: ["Name, abbreviation or code", "Name, Abkürzung oder Code"],
  conditionsFound: ["{0} conditions", "{0} Befunde"],
  allConditions: ["All conditions", "Alle Befunde"],
  askFor: ["Ask for this", "Danach fragen"],
  names: ["Names and codes", "Namen und Codes"],
  "also-en": ["English", "Englisch"],
  "also-de": ["German", "Deutsch"],
  criteria: ["Criteria", "Kriterien"],
  criterion: ["Criterion", "Kriterium"],
  role: ["Role", "Rolle"],
  test: ["Test", "Test"],
  source: ["Source", "Quelle"],
  sources: ["Sources", "Quellen"],
  noTest: ["not computed", "nicht berechnet"],
  noCriteria: ["The knowledge base has no criteria for it.", "Die Wissensbasis hat dafür keine Kriterien."],
  "role-required": ["required", "notwendig"],
  "role-supporting": ["supporting", "unterstützend"],
  "role-against": ["speaks against", "spricht dagegen"],
  roleOf: ["{0} of “{1}” needed", "{0} aus „{1}“ nötig"],
  one: ["one", "eins"],
  lookalikes: ["Look-alikes", "Ähnliche Befunde"],
  broader: ["Broader", "Allgemeiner"],
  explainedBy: ["Explained by", "Erklärt durch"],
  excludes: ["Not said beside", "Nicht zugleich mit"],
  "category-rhythm": ["Rhythm", "Rhythmus"],
  "category-ectopy": ["Ectopy", "Extrasystolen"],
  "category-conduction": ["Conduction", "Erregungsleitung"],
  "category-pacing": ["Pacing", "Schrittmacher"],
  "category-infarction": ["Infarction", "Infarkt"],
  "category-ischemia": ["Ischemia", "Ischämie"],
  "category-st-t": ["ST and T", "ST und T"],
  "category-hypertrophy": ["Hypertrophy", "Hypertrophie"],
  "category-axis-voltage": ["Axis and voltage", "Lagetyp und Voltage"],
  "category-electrolyte-drug": ["Electrolytes and drugs", "Elektrolyte und Medikamente"],
  "category-syndrome": ["Syndromes", "Syndrome"],
  "category-normal": ["Normal", "Normal"],
  "category-technical": ["Technical", "Technik"],
  "category-beat": ["Beats", "Schläge"],
  // the page of the API
  apiTitle: ["API", "API"],
  apiWhat: [
    'What the page asks, you can ask with curl. Errors are one line: {"error": …}.',
    'Was die Seite fragt, kann man auch mit curl fragen. Fehler sind eine Zeile: {"error": …}.',
  ],
  anEcg: ["How an ECG is named, by one of", "Wie ein EKG genannt wird, durch eines von"],
  namesEcg: ["Beside these, what names an ECG (above).", "Dazu das, was ein EKG nennt (oben)."],
  field: ["Field", "Feld"],
  kind: ["Kind", "Art"],
  meaning: ["Meaning", "Bedeutung"],
  machineReadable: ["OpenAPI description (JSON)", "OpenAPI-Beschreibung (JSON)"],
};

/** What the model says of a label, beside its German. */
const NOTES = [
  ["not in the knowledge base: plain prompt", "nicht in der Wissensbasis: nach den Worten allein"],
  ["not trained: by its criteria", "nicht trainiert: nach seinen Kriterien"],
  ["trained on simulated ECGs alone", "nur mit simulierten EKGs trainiert"],
  ["nearest in the knowledge base", "am nächsten in der Wissensbasis"],
  ["(cosine ", "(Kosinus "],
  ["by what is measured alone", "allein nach dem, was gemessen wurde"],
  ["read as", "gelesen als"],
  ["denied", "verneint"],
];
let chosen = 0; // column of WORDS

/** The language of the page: "en" or "de". */
export const language = () => (chosen ? "de" : "en");

/** Choose the language; English where the page has none of this name. */
export function chooseLanguage(name) {
  chosen = name === "de" ? 1 : 0;
}

/** A text of the page, with values in the places of {0}, {1}, … */
export function say(key, ...values) {
  return WORDS[key][chosen].replace(/\{(\d)\}/g, (_, i) => values[i]);
}

/** A text of the page, or `other` where it has none of this key. */
export const sayIf = (key, other = key) => (Object.hasOwn(WORDS, key) ? say(key) : other);

/** Of a text in both languages that of the page. */
export const pick = (text) => text[language()] || text.en;

/** An answer of a criterion or a range in words. */
export const answerName = (answer) => sayIf(`answer-${answer}`, answer);

/** A note of the model in the language of the page as far as it is known. */
export function noteWords(note) {
  if (!note || !chosen) return note ?? "";
  return NOTES.reduce((text, [english, german]) => text.replaceAll(english, german), note);
}

/** A text that begins with a capital. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A number with its sign. */
export const signed = (value, digits) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

/** Write the words into the elements of the page that name them: data-say is their text, data-label their name. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
}
