"""How chat models decline, and how others are quoted declining, in thirteen languages: patterns for `refusals`."""

from typing import NamedTuple

W = r"[^.!?。！？।؟\n]"
"""Any character within one sentence."""


class Phrases(NamedTuple):
    """One language's patterns, case-insensitive, over one sentence of normalized text; `~` is `W`."""

    declining: tuple[str, ...]
    """The speaker's own refusal."""
    reporting: str
    """Before a refusal: somebody else declines, or nobody does yet (if, when)."""
    answering: str
    """At a text's very beginning: an answer, a draft or a letter follows."""
    script: str = r"[A-Za-z]"
    """A character that every sentence of the language has."""


ENGLISH_CANNOT = (
    r"(?:can't|cannot|can not|won't|will not|(?:am|are|is|'m|'re)? ?(?:unable|not (?:able|allowed|permitted|authori[sz]ed"
    r"|going|willing|in a position|at liberty|programmed|designed|here|prepared|equipped)) to|don't|do not|shouldn't"
    r"|should not|must not|couldn't|could not)"
)
ENGLISH_ACT = (
    r"(?:answer|do|discuss|provide|offer|give|share|create|generate|write|produce|support|process|complete|carry out"
    r"|respond|reveal|disclose|explain|describe|comment|continue|facilitate|promote|encourage|endorse|advise|make|draft"
    r"|compose|teach|list|speculate|role-?play|pretend|proceed|go into|talk about|tell|help(?! but)|assist|translate)"
)
ENGLISH_OBJECT = (
    r"(?: (?:you(?! (?:how much|enough))|that|this|these|those|such|it|so|your|any|information|instructions?|assistance"
    r"|guidance|content|advice|details|steps?|step-by-step|directions|requests?|questions?|prompts?|opinions?"
    r"|materials?|personal|private|confidential|harmful|illegal|explicit|in|how to)\b|[.!]*$)"
)
ENGLISH_RULES = (
    r"(?:guidelines?|polic(?:y|ies)|rules|programming|principles|values|design|training|instructions|safety \w+|terms)"
)
SPANISH_ACT = (
    r"(?:ayud|asisti|proporcion|respond|cumpl|ofrec|brind|dar(?:te|le|les|)\b|compart|escrib|redact|crear|gener"
    r"|facilit|habl|discut|particip|realiz|hac(?:er|erlo)|revel|divulg|atend|satisfac|contest|proced|apoy|explic|proces"
    r"|complet|abord|coment|coloabor|colabor)"
)
FRENCH_ACT = (
    r"(?:aider|assister|répondre|fournir|donner|accéder|satisfaire|écrire|rédiger|produire|créer|générer|divulguer"
    r"|partager|aborder|discuter|participer|expliquer|proposer|traiter|faire\b|communiquer|révéler|soutenir|continuer"
    r"|offrir|parler|commenter|accompagner|exécuter|effectuer)"
)
PORTUGUESE_ACT = (
    r"(?:ajud|auxili|fornec|respond|atend|oferec|dar\b|compartilh|partilh|escrev|redigi|cri(?:ar|e)|ger(?:ar|e)|produz"
    r"|discuti|fal(?:ar|e)|particip|realiz|faz(?:er|ê)|revel|divulg|cumpri|explic|prossegu|apoi|process|coment|abord"
    r"|colabor)"
)
ITALIAN_ACT = (
    r"(?:aiut|assist|forni|rispond|soddisf|dar(?:e|ti|vi|le|gli)\b|offri|condivid|scriv|crea|gener|produ|divulg|rivel"
    r"|parl|discut|partecip|far(?:e|lo)\b|spieg|proced|support|esaudi|esegui|elabor|comment|affront|collabor)"
)
GERMAN_ACT = (
    r"(?:helfen|weiterhelfen|unterstützen|beantworten|antworten|nachkommen|erfüllen|bereit(?:zu)?stellen|behilflich"
    r"|(?:heraus|weiter|preis)?(?:zu)?geben|erteilen|erstellen|schreiben|verfassen|liefern|teilen|nennen|verraten"
    r"|offen(?:zu)?legen|besprechen|diskutieren|mitwirken|teilnehmen|erklären|tun|machen|ausführen|bearbeiten"
    r"|an(?:zu)?bieten|generieren|äußern|sprechen|reden|mitmachen|kommentieren|umsetzen|dienen|anfertigen|stellen|abgeben|in der Lage)\b"
)
GERMAN_RULES = r"(?:Richtlinie|Regel|Vorgabe|Grundsätze|Grundsatz|Programmierung|Prinzipien|Werte|Nutzungsbedingung)\w*"
DUTCH_ACT = (
    r"(?:helpen|assisteren|beantwoorden|antwoorden|geven|verstrekken|delen|schrijven|maken|bieden|uitvoeren|bespreken"
    r"|voldoen|meewerken|ondersteunen|uitleggen|genereren|doen)\b"
)
RUSSIAN_ACT = (
    r"(?:помо|предостав|ответ|отвеч|выполн|обсуж|содейств|писать|написа|давать|дать|раскры|созда|делиться|поделит"
    r"|расска|объясн|сделать|участв|поддерж|генериров|комментир|консульт|продолж|удовлетвор|говорить|делать)"
)
HINDI_ACT = (
    r"(?:मदद|सहायता|उत्तर|जवाब|जानकारी|निर्देश|अनुरोध|लेख|लिख|सामग्री|साझा|बात|चर्चा|पूरा|बता|प्रदान|सलाह|सहयोग|बना|कोड)"
)
CHINESE_CANNOT = r"(?:无法|無法|不能|没办法|沒辦法|没法|不便|不方便|不可以|不会|不會|不愿|不願|不想|没有办法|沒有辦法|无权|無權|不予|难以|難以|不适合|不適合)"
CHINESE_ACT = (
    r"(?:帮|幫|协助|協助|提供|回答|回应|回應|满足|滿足|讨论|討論|完成|生成|给出|給出|写|寫|分享|透露|告诉|告訴|创作"
    r"|創作|执行|執行|照做|处理|處理|参与|參與|支持|谈论|談論|继续|繼續|说明|說明|介绍|介紹|撰写|撰寫|发表|發表|泄露|做(?:这|這|此|到|出)|评论|接受)"
)
JAPANESE_CANNOT = (
    r"(?:できません|できかねます|出来ません|(?:いた|致)しかねます|しかねます|いたしません|できない|られません|控えさせて"
    r"|遠慮させて|ご遠慮)"
)
JAPANESE_SERVICE = r"(?:お手伝い|お答え|お応え|お話し|ご提供|ご案内|お伝え|お教え|ご協力|ご回答|ご対応|お受け|ご説明)"

PHRASES = {
    "English": Phrases(
        (
            rf"\b(?:I|we)(?:'m| am|'re| are|'ll)?(?: \w+){{0,2}}? {ENGLISH_CANNOT}(?: be)?(?: (?!help but)\w+){{0,4}}?"
            r" (?:able to |to )?(?:help|assist|fulfil?l?|comply|accommodate|engage|participate)(?:ing)?\b"
            r"(?! (?:but|it|myself|thinking|feeling|wondering|laughing|smiling|noticing|falling|being|wanting)\b)",
            rf"\b(?:I|we)(?:'m| am|'re| are|'ll)?(?: \w+){{0,2}}? {ENGLISH_CANNOT}(?: be)?(?: (?!help but)\w+){{0,4}}?"
            rf" {ENGLISH_ACT}(?:ing)?(?! you (?:how|what|the)\b| why\b)(?: (?:with|to|about|on|for))?(?: \w+){{0,2}}?"
            rf"{ENGLISH_OBJECT}(?!~{{0,80}}\benough\b)",
            rf"\bI(?:'m| am)?(?: \w+){{0,2}}? {ENGLISH_CANNOT}(?: (?!help but)\w+){{0,4}}? (?:provide|engage|assist|support)\b",
            r"\bI (?:won't|will not) (?:produce|generate|share|discuss|promote|facilitate|reveal|disclose)\b",
            rf"\band (?:will not|won't|cannot|can't|am (?:not able|unable) to) {ENGLISH_ACT}(?: \w+)?{ENGLISH_OBJECT}",
            r"\b(?:not possible|impossible) for me(?:[.!]*$| to (?:help|assist|answer|provide|share|discuss|do))",
            r"\bI (?:can't|cannot|won't|will not) (?:write|create|generate|build|make|produce) (?:\w+ ){1,4}?(?:for you|that)\b",
            r"\bas an? (?:\S+ ){0,3}?(?:AI|artificial intelligence|language model|assistant)\b~{0,60}\bI(?:'m| am)?"
            r" (?:can't|cannot|unable|not able|won't)\b",
            r"\bI can only (?:talk about|discuss|answer|help with|assist with)\b|\ba line I (?:won't|will not|can't) cross\b",
            r"^not (?:doing|happening|going to (?:do|happen|help|write|answer))\b",
            r"^(?:no\b,? ?|sorry\b,? ?|but )*(?:I )?(?:(?:can't|cannot|won't|will not|refuse|decline)[.!]*$|no[.!]*$)",
            r"^(?:(?:sorry|no|nope|unfortunately|apologies|regrettably|hmm)\b,? ?(?:but )?)*(?:can't|cannot|won't|unable to"
            r"|not able to) (?:help|assist|do|comply|answer|provide|share|discuss)\b",
            rf"\b(?:sorry|apologi[sz]e|apologies|afraid(?! of)|regret|unfortunately)\b~{{0,40}}?\bI(?:'m| am|'ll)?"
            rf" (?:\w+ )?{ENGLISH_CANNOT}(?! (?:hear|know|find|see)\b)",
            r"(?:\bnot|n't)(?: really)? (?:something|anything|a (?:topic|task"
            r"|request|subject|question|thing|conversation)|one)(?: that| which)? (?:I|we)(?:'m| am|'re| are| can| will|'ll| could| feel)\b",
            r"\b(?:beyond|outside(?: of)?) (?:what (?:I|we) (?:can|am able)|my (?:capabilities|abilities|scope|remit|guidelines|polic(?:y|ies)|limits))",
            r"\bI (?:can't|cannot|won't|will not|don't want to|do not want to) be (?:a )?part of\b",
            r"\b(?:off[ -]limits|out of bounds) for (?:me|us)\b|\bI(?:'d| had) better not\b",
            r"\bI(?:'m| am|'ve been| have been| was) (?:restricted|prohibited|prevented|barred|forbidden|banned) from\b",
            r"\bI(?:'m| am|'ve been| have been| was) (?:instructed|told|asked|programmed|trained|designed|configured) not to\b",
            r"\b(?:I|we)(?:'m| am|'ll| will|'d| would)?(?: \w+)?? (?:must|have to|need to|going to(?: have to)?|obliged to"
            r"|going to need to|obligated to|like to|choose to|will|ll|am going to)(?: \w+ly)? (?:decline|refuse|pass\b(?! the)|say no)"
            r"(?! to (?:believe|give up|accept))\b",
            r"\b(?:I|we)(?: must)?(?: \w+ly)? (?:decline|refuse) (?:to (?:help|assist|answer|provide|write|create|generate"
            r"|engage|participate|comply|discuss|produce|share)|this|that|your)\b",
            r"\bI(?:'d| would) (?:rather|prefer) not(?: to)?\b|\bI prefer not to\b|\bI(?: have|'ve)? (?:choose|chose|chosen"
            r"|decided) not to (?:answer|help|write|provide|discuss|respond|engage)\b",
            r"\b(?:I'm|I am|we're|I) (?:not|don't feel|do not feel|wouldn't feel|would not feel)(?: \w+ly)? comfortable\b",
            rf"\b(?:my|openai's|(?:our )?(?:content|usage|safety|community|ethical))(?: \w+){{0,3}}? {ENGLISH_RULES} (?:\w+ )?(?:prevents?|prohibits?"
            r"|forbids?|bars?|stops?|keeps?|restricts?|(?:does not|do not|don't|doesn't|won't|will not) (?:allow|permit"
            r"|let))",
            rf"\b(?:against|violates?|violating|conflicts? with|contrary to|prohibited by|restricted by|goes beyond) (?:my"
            rf"|our|openai's|anthropic's|(?:the )?content|(?:the )?usage|(?:the )?safety)(?: \w+){{0,2}}? ?{ENGLISH_RULES}",
            r"(?:\bnot|n't)\b~{0,25}\b(?:right|appropriate|ethical|okay|ok) for me to\b",
            r"\b(?:inappropriate|unethical|irresponsible|wrong|illegal) for me to\b",
            r"^(?:your |this |the )?request (?:has been |is |was )?(?:denied|declined|rejected|refused)\b",
        ),
        r"(?<!\bI )(?<!\bI've been )(?<!\bI am )(?<!\bI was )\b(?:said|says|told|tells|asked|answered|answers|replied|wrote"
        r"|writes|explained|declared|declares|claims|claimed|insists|insisted|thinks|thought|argued|whispered|shouted"
        r"|stated|responded|sighed|sobbed|cried|muttered|murmured|announced|replies|responds|announces|reads|sings|complained|admitted)\b|\b(?:if|when|whenever|unless|why|because) (?:I|we)"
        r"\b(?!~*,)|^\s*(?:[A-Z]|user|customer|agent|bot|clerk): ",
        r"(?:sure|certainly|of course|absolutely|yes|great|here(?:'s| is| are)|below|subject:|dear\b|title:|great question)"
        r"\b|(?:hi|hello|hey) [^\n,]{1,40},\s*\n",
    ),
    "German": Phrases(
        (
            rf"\b(?:ich(?: leider)? (?:kann|darf|werde|möchte|will|bin)|(?:kann|darf|werde|möchte|will|bin)"
            rf" ich)\b~*?\b(?:nicht\b(?! (?:nur|oft genug|genug))|kein\w*|nichts|weder)\b~*?\b{GERMAN_ACT}",
            r"\b(?:ich (?:schreibe|beantworte|erstelle|helfe|verfasse|gebe|mache|tue|unterstütze|diskutiere|kommentiere"
            r"|liefere|teile)|(?:schreibe|beantworte|erstelle|helfe|verfasse|gebe|mache|tue|unterstütze|diskutiere"
            r"|liefere|teile) ich)\b(?: \w+){0,4}? (?:nicht|kein\w*|nichts)\b",
            r"\b(?:ich (?:muss|werde|möchte)|(?:muss|werde|möchte) ich)\b~{0,60}\b(?:ablehnen|verweigern|absehen|passen)\b",
            r"\bich (?:lehne|verweigere|verzichte)\b~{0,60}(?:\bab\b|Anfrage|Bitte|Auskunft|Antwort)",
            r"\b(?:ich|mir)\b~{0,30}\blieber (?:nicht|nichts|kein\w*)\b",
            rf"\b(?:meine|unsere)\w* (?:\w+ )?{GERMAN_RULES}~{{0,40}}\b(?:nicht|verbieten|verbietet|untersag\w+|verhinder\w+"
            r"|hinder\w+)",
            rf"\b(?:gegen|widersprich\w+|widersprech\w+|verletz\w+) (?:meine|unsere)\w* (?:\w+ )?{GERMAN_RULES}",
            r"\b(?:nicht etwas|nichts|keine (?:Aufgabe|Frage)), (?:wobei|womit|bei (?:dem|der)|das|was|die|worüber) ich\b",
            r"\bich\b~{0,20}\bnichts sagen\b|\bVerständnis(?: dafür)?, dass ich\b~{0,60}\b(?:nicht|kein\w*)\b",
            r"\bstehe ich\b~{0,20}\bnicht zur Verfügung\b|\bich stehe\b~{0,20}\bnicht zur Verfügung\b",
            r"\bich\b~{0,20}\b(?:nicht wohl|unwohl|nicht sicher genug)\b",
            r"\bmir (?:\w+ )?(?:nicht (?:möglich|erlaubt|gestattet)|unmöglich|untersagt|verboten)\b",
        ),
        r"\b(?:sagte|sagt|meinte|erklärte|antwortete|schrieb|behauptete|erzählte|rief|flüsterte|dachte)\b"
        r"|\b(?:wenn|falls|sobald|ob|warum|(?<!Verständnis, |dafür, )dass) ich\b(?!~*,)",
        r"(?:gern|natürlich|klar|sicher|hier (?:ist|sind)|betreff|sehr geehrte|liebe[rs]?\b|ja\b)",
    ),
    "Spanish": Phrases(
        (
            r"\bno (?:te |le |les |os |lo |la |se )*(?:puedo|podemos|podré|podría|voy a|vamos a|quiero|debo|pienso|me (?:es|resulta) posible|me está permitido"
            r"|soy capaz de|estoy (?:autorizad|capacitad|en condiciones|dispuest|facultad|programad|diseñad)\w*|tengo"
            rf" permi\w+)(?! (?:dejar|evitar|más que|sino|menos)\b)~{{0,50}}?\b{SPANISH_ACT}",
            r"\bno (?:te |le |les |os |lo |la )*(?:responderé|ayudaré|escribiré|haré|daré|proporcionaré|compartiré|crearé|generaré"
            r"|participaré|hablaré|revelaré|contestaré)\b",
            rf"\bme (?:es|resulta) imposible\b~{{0,10}}{SPANISH_ACT}",
            r"\bno me siento cómod|\bme siento incómod|\b(?:lamento|siento|lamentamos) no poder\b",
            rf"\b(?:prefiero|preferiría) no\b~{{0,20}}\b{SPANISH_ACT}",
            r"\b(?:debo|tengo que|tendré que|me veo obligad[oa] a|voy a tener que|he de|me veo en la obligación de)(?: \w+)?"
            r" (?:rechazar|negarme|declinar|rehusar)",
            rf"\bme niego a\b~{{0,15}}\b{SPANISH_ACT}|\brechazo (?:esta|tu|su|la) (?:solicitud|petición)",
            r"\b(?:contra|contrari[oa]s?|violar?|violaría|infring\w+)(?: de| a| con)? (?:mis|nuestras?|nuestros?) (?:\w+ )?"
            r"(?:principios|directrices|normas|pautas|políticas|reglas|valores)",
            r"\bmis (?:\w+ )?(?:directrices|normas|pautas|políticas|reglas|principios|instrucciones|lineamientos)~{0,30}"
            r"\b(?:impid|prohíb|no (?:me )?permit)",
            r"\bno es algo (?:en lo|con lo|que|de lo|sobre lo|a lo)\b",
        ),
        r"\b(?:dijo|dice|decía|respondió|contestó|explicó|afirmó|declaró|contó|escribió|pensó|aseguró)\b"
        r"|\b(?:si|cuando|porque) no (?:puedo|podemos)\b(?!~*,)",
        r"(?:claro|por supuesto|aquí (?:tienes|está|están|te|va)|asunto|estimad[oa]|querid[oa]|sí\b|desde luego)",
    ),
    "French": Phrases(
        (
            rf"\bje ne (?:peux|pourrai|pourrais|puis|suis|vais|souhaite|veux|dois|saurais)\b(?: \w+)?? (?:pas|point)\b~{{0,60}}?"
            rf"\b{FRENCH_ACT}",
            rf"\bje ne (?:puis|saurais|peux) (?!que\b)~{{0,15}}?\b{FRENCH_ACT}~{{0,40}}",
            r"\bje n(?:e |')(?:\w+ )??(?:écrirai|rédigerai|répondrai|fournirai|donnerai|ferai|créerai|participerai|produirai"
            r"|partagerai|aiderai|discuterai|générerai|fournis|donne|réponds|rédige|écris|partage) (?:pas|rien|aucun)",
            r"\bje ne (?:peux|puis) rien (?:dire|faire|divulguer|révéler)",
            r"\bje m'abstiendrai\b",
            rf"\bdans l'impossibilité (?:de |d'){FRENCH_ACT}",
            r"\b(?:pas|mal) à l'aise\b|\bregrette de ne (?:pas )?pouvoir\b",
            r"\bje préf(?:ère|érerais) ne pas\b",
            r"\bje (?:dois|suis (?:obligée?|contrainte?|tenue?) de|me vois (?:contrainte?|obligée?) de|vais devoir|devrai)"
            r"(?: \w+){0,2}? (?:refuser|décliner)",
            rf"\bje (?:refuse|décline)(?: \w+ment)? (?:cette|votre|ta|d(?:e |'){FRENCH_ACT})",
            r"\bce n'est pas (?:quelque chose|un sujet|une demande|une tâche)(?: \w+)?? (?:que|dont|sur|avec|pour|à|auquel)",
            r"\b(?:m'interdi\w+|m'empêche\w*|ne me permet\w* pas|ne m'autorise\w* pas)\b",
            r"\b(?:contraires? à|à l'encontre de|enfrein\w+|viole\w*) (?:mes|nos) ",
            rf"\b(?:il|cela) (?:ne )?m'est (?:pas possible|impossible|pas permis|interdit)\b~{{0,10}}\b{FRENCH_ACT}",
        ),
        r"\b(?:dit|disait|répondu|répondit|déclaré|affirmé|expliqué|raconte|écrit que|pensait|assure)\b"
        r"|\b(?:si|quand|lorsque|parce que) je\b(?!~*,)",
        r"(?:bien sûr|certainement|voici|objet|cher|chère|oui\b|avec plaisir|voilà)\b",
    ),
    "Portuguese": Phrases(
        (
            r"\bnão (?:te |lhe |lhes |o |a |vos )*(?:posso|podemos|consigo|poderei|poderia|vou|quero|devo|me é (?:possível|permitido)|é possível para mim"
            r"|sou capaz de|estou (?:autorizad|apt|habilitad|em condições|programad|dispost)\w*|tenho (?:permissão"
            rf"|autorização|como))(?! deixar de)~{{0,50}}?\b{PORTUGUESE_ACT}",
            r"\bnão (?:te |lhe |lhes |o |a )*(?:responderei|ajudarei|escreverei|farei|darei|fornecerei|compartilharei|criarei"
            r"|participarei|falarei|revelarei)\b",
            rf"\b(?:é-me|me é) impossível\b~{{0,10}}{PORTUGUESE_ACT}",
            r"\bnão me sinto (?:confortável|à vontade)|\b(?:lamento|sinto) não poder\b",
            rf"\b(?:prefiro|preferiria) não\b~{{0,20}}\b{PORTUGUESE_ACT}",
            r"\b(?:tenho (?:de|que)|devo|preciso|vou ter (?:de|que)|terei (?:de|que)|sou obrigad[oa] a|vejo-me obrigad[oa] a)"
            r"(?: \w+)? (?:recusar|negar|declinar|rejeitar)",
            rf"\b(?:recuso-me|me recuso) a\b~{{0,15}}\b{PORTUGUESE_ACT}|\brecuso (?:este|esse|o seu|seu) pedido",
            r"\b(?:minhas?|meus) (?:\w+ )?(?:diretrizes|políticas|regras|normas|princípios|instruções|orientações)~{0,30}"
            r"\b(?:não (?:me )?permit|imped|proíb)",
            r"\b(?:contra|contraria\w*|viol\w+|fere\w*) (?:as |os )?(?:minhas|meus) ",
            r"\bnão é algo (?:com|em|que|sobre|de|a) ",
        ),
        r"\b(?:disse|diz|dizia|respondeu|explicou|afirmou|declarou|contou|escreveu|pensou|garantiu)\b"
        r"|\b(?:se|quando|porque) não (?:posso|consigo)\b(?!~*,)",
        r"(?:claro|com certeza|aqui (?:está|estão|vai)|assunto|prezad[oa]|car[oa]\b|sim\b|segue)",
    ),
    "Italian": Phrases(
        (
            r"\bnon (?:ti |le |vi |lo |la |gli )*(?:posso|possiamo|potrò|potrei|sono in grado di|mi è (?:possibile|consentito|permesso)|sono (?:autorizzat"
            r"|abilitat|programmat|dispost)\w*|voglio|intendo|devo|me la sento di)(?! (?:che|fare a meno)\b)~{0,50}?"
            rf"\b{ITALIAN_ACT}",
            r"\bnon (?:\w+ )??(?:scriverò|risponderò|fornirò|aiuterò|creerò|darò|farò|parteciperò|genererò|produrrò|discuterò"
            r"|condividerò)\b",
            rf"\bmi è impossibile\b~{{0,10}}{ITALIAN_ACT}",
            r"\bnon mi sento (?:a mio agio|di)\b|\bdispiace (?:di )?non poter",
            rf"\b(?:preferisco|preferirei) non\b~{{0,20}}\b{ITALIAN_ACT}",
            r"\b(?:devo|sono costrett[oa] a|mi vedo costrett[oa] a|dovrò|sono obbligat[oa] a)(?: \w+){0,2}? (?:rifiut|declin"
            r"|resping)",
            rf"\bmi rifiuto di\b~{{0,15}}\b{ITALIAN_ACT}",
            r"\b(?:le mie|i miei) (?:linee guida|regole|principi|politiche|istruzioni|norme|direttive)~{0,30}\b(?:non (?:mi )?"
            r"(?:permett|consent)|impedi|viet|proib)",
            r"\b(?:contro|contrari\w+|viol\w+) (?:a|ai|alle|i|le)? ?(?:miei|mie) ",
            r"\bnon è (?:qualcosa|un argomento) (?:in cui|che|di cui|con cui|su cui)\b",
        ),
        r"\b(?:detto|disse|dice|diceva|risposto|rispose|spiegato|affermato|dichiarato|raccontato|scritto|pensava)\b"
        r"|\b(?:se|quando|perché) non (?:posso|riesco)\b(?!~*,)",
        r"(?:certo|certamente|ecco|oggetto|gentile|car[oa]\b|sì\b|volentieri)",
    ),
    "Dutch": Phrases(
        (
            rf"\b(?:ik (?:kan|mag|zal|wil|ga|ben)|(?:kan|mag|zal|wil|ben) ik)\b~*?\b(?:niet|geen|niets)\b~*?\b{DUTCH_ACT}",
            r"\b(?:ik moet|moet ik)\b~{0,40}\b(?:weigeren|afwijzen)\b|\bik (?:weiger|wijs)\b~{0,30}\b(?:verzoek|te)\b",
            r"\bik\b~{0,20}\bliever (?:niet|geen)\b|\bmijn richtlijnen\b~{0,30}\b(?:niet|verbieden)\b",
        ),
        r"\b(?:zei|zegt|antwoordde|schreef|vertelde)\b|\b(?:als|wanneer) ik\b(?!~*,)",
        r"(?:natuurlijk|zeker|hier (?:is|zijn)|onderwerp|beste|geachte|ja\b)",
    ),
    "Russian": Phrases(
        (
            r"\bне (?:могу|можем|смогу|буду|стану|имею права|в состоянии|вправе|готова?|хочу|хотела? бы|имею возможности)\b"
            rf"(?! не\b)~{{0,50}}?\b{RUSSIAN_ACT}",
            rf"\b{RUSSIAN_ACT}~{{0,40}}\b(?:я (?:\w+ )?)?не (?:могу|смогу)\b",
            rf"\bя (?:\w+ )?{RUSSIAN_ACT}~{{0,20}}\bне (?:могу|буду|смогу|стану)\b",
            r"\bя не (?:пишу|отвечаю|создаю|даю|предоставляю|обсуждаю|помогаю|делюсь|комментирую|участвую)\b",
            r"\bя не (?:отвечу|помогу|напишу|скажу|расскажу|сделаю|предоставлю)\b",
            r"\bмне (?:неудобно|некомфортно)\b",
            r"\b(?:вынуждена?|должна?|должен|придется|придётся|приходится)\b~{0,20}\b(?:отклон|отказ)",
            rf"\bотказываюсь\b~{{0,15}}\b{RUSSIAN_ACT}|\bя (?:\w+ )?отклоняю\b",
            r"\bпредпоч(?:[её]л|ла|ту|итаю)\b(?: бы)? не\b",
            r"\bмои\b~{0,20}\b(?:правила|принципы|инструкции|рекомендации|настройки|ограничения)~{0,20}\b(?:запреща|не позволя"
            r"|не разреша)",
            r"\b(?:противореч\w+|наруш\w+) (?:моим?|моих) ",
            r"\bэто не то, (?:с чем|что|чем|в чём|в чем|о чём|о чем) я\b",
            r"\bмне (?:нельзя|запрещено|не разрешено|не позволено)\b",
        ),
        r"\b(?:сказала?|говорила?|ответила?|заявила?|сообщила?|написала?|утвержда\w+|думала?|объяснила?)\b"
        r"|\b(?:если|когда|почему) я\b(?!~*,)",
        r"(?:конечно|вот\b|тема:|уважаем|дорог|да\b|разумеется)",
        r"\p{Cyrillic}",
    ),
    "Hindi": Phrases(
        (
            rf"(?:मैं|मुझे|हम)~{{0,60}}?{HINDI_ACT}~{{0,25}}?(?:नहीं|न)~{{0,12}}?(?:सक|पाऊ|पाएँ|दूँग|दूंग|करूँग|करूंग|लिखूँग|लिखूंग|चाहूँग"
            r"|चाहूंग|चाहत|दे सक|बताऊँग)",
            r"मैं (?:ऐसा|यह|इसे|ये) नहीं कर (?:सक|पाऊ)",
            rf"मैं~{{0,50}}(?:नहीं|न) (?:लिख|बता|बना|कर|दे)~{{0,6}}(?:ूँगा|ूंगा|ूँगी|ूंगी|ऊँगा|ऊँगी)",
            rf"(?:मैं|हम)~{{0,60}}असमर्थ|असमर्थ (?:हूँ|हूं|हैं)",
            rf"मैं~{{0,50}}{HINDI_ACT}~{{0,10}}नहीं (?:करत|देत|बनात|लिखत)",
            r"(?:मैं|मुझे)~{0,40}(?:सहज नहीं|असहज)",
            r"(?:मैं|मुझे)~{0,40}(?:अस्वीकार|मना|इनकार|इन्कार) (?:कर|है)",
            r"(?:मेरे|मेरी|हमारी) (?:\S+ ){0,2}?(?:दिशानिर्देश|दिशा-निर्देश|नीति|नीतियाँ|नियम|सिद्धांत)~{0,40}(?:नहीं|ख़िलाफ़|खिलाफ|विरुद्ध|रोक)",
            r"(?:ऐसा|वह|यह) (?:काम|कुछ|विषय|चीज़)~{0,10}नहीं~{0,20}(?:मैं|मदद)",
            rf"(?:क्षमा|माफ़|माफ|खेद)~{{0,40}}मैं~{{0,60}}(?:नहीं|असमर्थ)~{{0,20}}(?:सक|हूँ|दूँग|करूँग|लिखूँग)",
        ),
        r"(?:उसने|उन्होंने|ने)~{0,20}(?:कहा|बताया|पूछा)|कहत[ाीे]|(?:अगर|यदि|जब) मैं(?!~*,)",
        r"(?:ज़रूर|जरूर|बिल्कुल|यह रहा|यहाँ|ये रहे|विषय:|आदरणीय|प्रिय|हाँ)",
        r"\p{Devanagari}",
    ),
    "Chinese": Phrases(
        (
            rf"我~{{0,15}}?{CHINESE_CANNOT}~{{0,25}}?{CHINESE_ACT}",
            rf"(?:抱歉|对不起|對不起|遗憾|遺憾|不好意思|恕)~{{0,30}}?(?:{CHINESE_CANNOT}|帮不了|幫不了|做不到|帮不上|幫不上|难从命|難從命)",
            rf"作(?:为|為)~{{0,20}}(?:AI|人工智能|人工智慧|语言模型|語言模型|助手)~{{0,20}}{CHINESE_CANNOT}~{{0,20}}{CHINESE_ACT}",
            r"我(?:必须|必須|只能|不得不|要|选择|選擇)?(?:拒绝|拒絕|谢绝|謝絕|婉拒)(?:写|寫|回答|提供|这|這|您|你|该|該|此|参与|讨论)",
            r"我(?:必须|必須|只能|不得不)(?:\S{0,4})?(?:拒绝|拒絕|谢绝|謝絕|婉拒)",
            r"(?:违反|違反|违背|違背|不符合)~{0,6}(?:我|内容|內容|使用|安全)~{0,8}(?:准则|準則|政策|原则|原則|规定|規定|指南|规范)",
            r"我的?~{0,8}(?:准则|準則|政策|原则|原則|规定|規定|指南)~{0,8}(?:不允许|不允許|禁止|不让)",
            r"(?:不是|并非|並非|不属于)我(?:能|可以|能够|能夠|所能|可)~{0,10}(?:帮|幫|协助|協助|做|提供|回答|讨论|事|范围)",
            r"我(?:实在|真的)?(?:帮不[了上]|幫不[了上]|不想写|不想寫)",
        ),
        r"(?:[他她它们們某者长長员員人]|先生|女士|部)~{0,8}(?:告诉|告訴|说|說|表示|回答|声称|称|写道|问)|(?:如果|当|假如|要是)我(?!~*，)",
        r"(?:当然|當然|好的|没问题|可以|以下|下面|主题|主題|尊敬的|亲爱的|親愛的|是的)",
        r"\p{Han}",
    ),
    "Japanese": Phrases(
        (
            rf"(?:申し訳|すみません|すいません|恐れ入り|恐縮|残念ながら|ごめんなさい|あいにく)~{{0,60}}{JAPANESE_CANNOT}"
            r"(?!と(?:言|述|話|語|答|書|思))",
            rf"{JAPANESE_SERVICE}~{{0,10}}{JAPANESE_CANNOT}(?!と(?:言|述|話|語|答|書|思))",
            r"(?:情報|内容|方法|作り方|手順|質問|依頼|要望|要求|リクエスト|文章|話題|コンテンツ|個人情報)(?:を|に|には|について|については|は)"
            rf"~{{0,15}}(?:提供|教え|応じ|答え|回答|作成|共有|開示|生成|協力|対応|お伝え|書)~{{0,10}}{JAPANESE_CANNOT}",
            r"(?:そのような|このような|そういった|そんな|こうした)~{0,12}(?:書きません|書けません|作りません|作れません|作成しません|作成できません"
            r"|お答えしません|いたしません|できません)",
            r"(?:回答|返答|説明|対応|協力|提供|作成|発言)(?:は|を)?~{0,4}控え",
            r"(?:私|わたし|わたくし)(?:に)?は~{0,10}(?:答え|応え|教え|手伝|協力|書|作)~{0,4}(?:られません|できません|ません)",
            r"お断り(?:し(?:ます|ております)|いたします|させていただ|しなければ|せざるを)",
            r"(?:ガイドライン|ポリシー|規約|方針)~{0,6}(?:に反|に違反|で禁|上|により)~{0,30}(?:できません|お断り|かねます)",
            r"^(?:それ|これ|そちら|こちら|ご依頼|その依頼)は(?:でき|出来|(?:いた|致)しかね)",
            rf"(?:AI|人工知能|言語モデル|アシスタント)~{{0,8}}として~{{0,40}}(?:ません|{JAPANESE_CANNOT})",
        ),
        r"^~{1,15}(?<!ついて|関して|こと|私|わたし|わたくし|弊社|当社|AI|それ|これ|もの|内容|情報|件|依頼|質問|要望|話題|方法|文章|手順|ちら"
        r"|コンテンツ|リクエスト|手伝い|答え|回答|説明|返答|対応|点|に)は(?!と)|もし私",
        r"(?:はい|もちろん|以下|件名|承知|こちらが)",
        r"[\p{Hiragana}\p{Katakana}]",
    ),
    "Korean": Phrases(
        (
            r"(?:죄송|미안|유감|아쉽|안타깝)~{0,60}(?:수 ?(?:는|가)? ?없|어렵습니다|불가능|못합니다|않겠습니다)(?!다고)",
            r"(?:도와|답변|제공|알려|작성|공유|설명|지원|응답|대답|생성|논의|말씀)\S* ?(?:\S+ )?(?:수 ?(?:는|가)? ?없습니다|어렵습니다|않겠습니다)",
            r"(?:요청|질문|부탁)~{0,20}(?:거절|거부|사양)(?:합니다|하겠습니다|해야|할 수밖에)",
            r"(?:지침|정책|원칙|규정)~{0,15}(?:위반|위배|어긋|허용하지)",
        ),
        r"(?:그는|그녀는|그가|그녀가)~{0,40}다고",
        r"(?:네\b|물론|다음은|아래|제목)",
        r"\p{Hangul}",
    ),
    "Arabic": Phrases(
        (
            r"(?:لا|لن) (?:أستطيع|يمكنني|يمكننا|أقدر|نستطيع|أتمكن|يسعني)(?: من)?~{0,30}(?:مساعد|تقديم|الإجابة|توفير|كتابة"
            r"|تلبية|إنشاء|مشاركة|مناقشة|إعطاء|المشاركة|القيام|الكشف|تزويد|شرح|تنفيذ|أن أ)",
            r"(?:لست|غير|لسنا) (?:قادر|مخول|مسموح)\S*~{0,30}(?:مساعد|تقديم|الإجابة|توفير|كتابة|تلبية|مشاركة)",
            r"(?:يجب|علي|عليّ|مضطر)~{0,15}(?:أرفض|رفض|الاعتذار|أعتذر)|\bأرفض (?:كتابة|تقديم|هذا|الإجابة|المساعدة)",
            r"\bلن (?:أكتب|أقدم|أجيب|أساعد|أشارك)",
            r"(?:يتعارض|يخالف|ينتهك)~{0,10}(?:مع )?(?:سياس|مبادئ|إرشادات|قواعد)\S*ي\b",
        ),
        r"(?:قالت?|أخبرني|أخبرتني|أجابت?|كتبت?)\b",
        r"(?:بالتأكيد|بالطبع|إليك|نعم|الموضوع|عزيز)",
        r"\p{Arabic}",
    ),
}
