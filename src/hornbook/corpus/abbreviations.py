"""Abbreviations of each language but English, in lower case and without their last full stop.

For each language three lists, see `corpus.rules.Rules`: `titles`, `numbered`, `uncertain`. Single letters and letters
with full stops between them ("z. B.", "e.V.") count as initials and need not be listed, unless they never end a
sentence. The lists were written for hornbook.
"""


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


ORDINALS = words_of("""
    basque czech danish estonian finnish german hungarian norwegian polish serbian turkish
    """)
"""Languages that write an ordinal as a number with a full stop."""

ABBREVIATIONS = {
    "catalan": (
        "sr sra srs dr dra prof st sta mn p.ex av cf",
        "núm pàg p pp vol cap art fig tel",
        "etc s.a a.c d.c gen febr abr jul ag oct nov des",
    ),
    "czech": (
        "dr prof ing mgr bc judr mudr phdr rndr doc csc sv gen plk kpt por tzv tj např resp zejm mj",
        "č čís s str odst obr tab kap sv roč tel",
        "atd apod aj př.n.l n.l tis mil mld kč st",
    ),
    "danish": (
        "f.eks bl.a dvs d.v.s hr fr frk dr prof ca jf inkl ekskl evt hhv mht pga ift iht vedr sml kgl s.k kap",
        "nr s kap fig tab art tlf stk kl",
        "osv o.s.v etc m.m m.v m.fl mv jr jan feb apr jun jul aug sept okt nov dec f.kr e.kr",
    ),
    "dutch": (
        """dhr mevr mw mej dr drs ir ing prof mr ds st bv bijv d.w.z o.a m.a.w t.a.v t.o.v i.p.v z.g zgn incl excl
        resp ca vgl i.v.m m.b.t m.n""",
        "nr nrs blz p pp art fig afb tab hfst tel vol",
        "enz etc e.d n.v b.v jr sr jan feb mrt apr jun jul aug sep sept okt nov dec e.a m.i",
    ),
    "esperanto": ("prof ekz t.e", "p", "ktp k.t.p k.a k.c atm ptm"),
    "estonian": ("nt s.o s.t dr prof hr pr mag", "nr lk ptk joon tab tel", "jne jms jm vms ekr pkr"),
    "finnish": ("esim ts tri prof toht maist hra rva ns", "nro n s ss kpl kuva taul", "jne yms ym mm tms ekr jkr"),
    "french": (
        """m mm mme mmes mlle mlles me mgr dr pr prof st ste cf p.ex env av apr boul bd chap ex fig hab ibid dir trad
        réf tél""",
        "p pp n no nos art vol t tom chap fig al éd",
        "etc sq janv févr avr juil sept oct nov déc cie jr ltée inc",
    ),
    "german": (
        """dr prof hr fr frl dipl ing med phil jur rer nat habil hrsg hg st bzw ca z.b d.h u.a o.ä s.o s.u vgl ggf
        evtl inkl exkl zzgl einschl sog bspw geb gest verh allg insb insbes zit lat griech engl frz ital dt österr
        schweiz gesetzl ehem urspr eigtl gem betr bez tgl vs i.d.r m.e m.w u.u z.t z.zt o.g s.a i.a d.i jun geb
        usf mind""",
        "nr nrn s abb tab kap bd art abs ziff anm fn aufl jg h par rn rdnr tel ca",
        """usw etc uvm u.s.w str jr sr gmbh co kg ag e.v mio mrd tsd jh jhdt jhs chr v.chr n.chr u.v.m ff u.ä o.ä dgl
        jan feb mär apr aug sep sept okt nov dez""",
    ),
    "greek": (
        "π.χ δηλ κ.κ βλ πρβλ κα κος δρ καθ",
        "αρ σελ τόμ κεφ άρθρ εικ τηλ παρ",
        "κ.λπ κλπ κ.ά κ.τ.λ κτλ μ.χ",
    ),
    "hindi": ("डॉ श्री प्रो पं सुश्री", "", ""),
    "hungarian": (
        "dr prof ifj id özv pl ill ún vö kb sz szt gr br",
        "sz old o fej ábra tel kb",
        "stb i.e i.sz kft rt zrt nyrt u hsz",
    ),
    "indonesian": (
        "dr prof ir drs dra h hj k.h yth sdr bpk jl jln",
        "no hlm hal vol jil bab tel",
        "dll dsb dst s.m m",
    ),
    "italian": (
        """sig sigg dott dr prof avv ing arch geom rag on sen mons don ss gen col cap ten magg cav comm p.es es cfr vs
        sig.ra sig.na dott.ssa prof.ssa""",
        "n nn nr p pp pag pagg vol voll cap art artt fig tab tel sez",
        "ecc etc s.p.a s.r.l jr feb apr giu lug ago sett ott nov dic a.c d.c",
    ),
    "lithuanian": (
        "dr prof pvz t.y vad š.m a.a kun gen g pr al",
        "nr p psl pav lent tel str d",
        "ir.t.t t.t pan kt m tūkst mln mlrd",
    ),
    "nepali": ("डा प्रा श्री", "", ""),
    "norwegian": (
        "f.eks bl.a dvs d.v.s hr fr frk dr prof ca jf jfr inkl ekskl evt hhv mht pga ift iht vedr",
        "nr s kap fig tab art tlf kl",
        "osv o.s.v etc m.m m.v m.fl mv jr jan feb apr jun jul aug sept okt nov des f.kr e.kr",
    ),
    "polish": (
        """dr prof mgr inż hab ks św bł gen płk kpt mjr por np tzw tzn m.in ul al pl pok woj gm pow im zob red oprac
        wyd ang niem łac gr""",
        "nr s str t rozdz rys tab art ust pkt poz tel r",
        "itd itp etc r w ww n.e p.n.e tys mln mld zł sp z.o.o",
    ),
    "portuguese": (
        """sr sra srta srs sras dr dra drs prof profa eng arq exmo exma v.exa d sto sta pe cel gen maj ten alm p.ex ex
        aprox cf vs""",
        "n nº p pp pág págs vol cap art arts fig tel tab inc",
        "etc ltda cia s.a jr jan fev abr jun jul ago dez nov av a.c d.c",
    ),
    "romanian": (
        "dl dna d-l d-na dr prof ing arh av gen col cpt lt sf str bd",
        "nr p pp pag art alin lit vol cap fig tel",
        "etc ş.a ș.a ş.a.m.d ș.a.m.d î.hr d.hr ian feb apr iun iul aug sept oct nov dec",
    ),
    "russian": (
        """т.е т.к т.н т.о напр см ср ред сост проф акад доц канд инж ген полк кап гр св им ул просп пер обл пос наб
        пл тов""",
        "п пп ст гл с стр рис табл т тт вып кн ч тел",
        "т.д т.п др пр н.э г гг в вв млн млрд тыс руб коп янв февр апр авг сент окт нояб дек",
    ),
    "serbian": (
        "dr prof mr ing gosp sv tj npr tzv ul br др проф мр инг госп св тј нпр тзв ул бр",
        "br str sl tab čl st tel бр стр сл таб чл ст тел",
        "itd i.dr din god n.e p.n.e итд и.др дин год н.е п.н.е",
    ),
    "spanish": (
        """sr sra srta sres sras dr dra drs dña d da prof profa ud uds vd vds gral cap cnel ing lic arq pbro mons fr
        sta sto p.ej ej aprox cf vs fig""",
        "n núm núms no nro p pp pág págs vol vols cap art fig tel tít t ed",
        "etc ee.uu jr s.a ltda cía av avda dpto ene feb abr jun jul ago sept oct nov dic a.c d.c",
    ),
    "swedish": (
        "t.ex bl.a dvs d.v.s s.k f.d fr.o.m t.o.m resp ca prof dr hr fr jfr inkl exkl ung p.g.a m.a.o i.o.m",
        "nr s sid kap fig tab art tel st kl",
        "etc osv o.s.v m.m m.fl mm jr jan feb mar apr jun jul aug sept okt nov dec f.kr e.kr",
    ),
    "turkish": (
        "dr prof doç yrd av sn bkz örn alb gen yzb müh mah cad sok bul apt şti",
        "no s sf cilt c md",
        "vb vs vd a.ş ltd i.ö m.ö m.s",
    ),
}
