run describe skeleton
run describe flat
run describe fashion-mnist
