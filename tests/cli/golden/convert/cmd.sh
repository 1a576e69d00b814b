# One format into another: what is written, asked and refused.
# shellcheck shell=bash
printf '1,2,3\n4,5,6\n' >v.csv
run convert v.csv v.fvecs
printf '7,8,9\n' >other.csv
run convert other.csv v.fvecs
stat -c '%n %s bytes' v.fvecs
run convert --force other.csv v.fvecs
stat -c '%n %s bytes' v.fvecs
run convert v.csv v.u8bin
printf '1,2.5,3\n2,3,4\n3,5,6\n' >ids.csv
run convert ids.csv ids.npy
run convert --id 1 ids.csv ids.npy
run convert --force --id 0 ids.csv ids.npy
printf '0,1,2\n5,6,7\n' >header.csv
run convert --header yes header.csv header.npy
run convert v.csv v.nothing
head -c 10 v.fvecs >short.fvecs
run convert short.fvecs w.npy
mkfifo pipe.npy
run convert pipe.npy w.npy
rm pipe.npy
ls
